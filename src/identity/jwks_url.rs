//! Addresses of JWK sets.

use core::net::IpAddr;
use std::fmt;

/// Where the keys of an issuer are fetched: by https, or from this very machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwksUrl {
    is_secure: bool,
    host: Box<str>,
    port: u16,
    /// Path and query.
    target: Box<str>,
}

impl JwksUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// In words, if it is none, or keys from there could be anybody's.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_secure = text.starts_with("https://");
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or("expected an address that begins with https://")?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['#', '@', '\\']) {
            return Err("expected an address of plain ASCII, without user, password or fragment");
        }
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let target = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{target}"),
        };
        let (host, port) =
            host_and_port(authority).ok_or("expected a host, perhaps with a port")?;
        let url = Self {
            is_secure,
            host: host.into(),
            port: port.unwrap_or(default_port(is_secure)),
            target: target.into(),
        };
        match is_secure || url.is_loopback() {
            true => Ok(url),
            false => Err("keys that come by http could be anybody's: expected https"),
        }
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        &*self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is an https address.
    pub(crate) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// A name or an IP address, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What is asked of the host.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The host as a request names it, with its port unless that goes without saying.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.to_string(),
        };
        match self.port == default_port(self.is_secure) {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

const fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

impl fmt::Display for JwksUrl {
    /// For logs: without the query, which may be nobody's business.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(formatter, "{scheme}://{}{path}", self.authority())
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<IpAddr>().ok()?;
        return Some((host, port_of(port)?));
    }
    let at = authority.find(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(at);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(is_name);
    is_host.then_some((host, port_of(port)?))
}

/// `:8443`, or nothing.
fn port_of(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(None),
        Some(port) => port.parse().ok().filter(|port| *port > 0).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_told_without_its_query() {
        for (text, authority, target, shown) in [
            (
                "https://id.example",
                "id.example",
                "/",
                "https://id.example/",
            ),
            (
                "https://id.example:8443/a/jwks.json",
                "id.example:8443",
                "/a/jwks.json",
                "https://id.example:8443/a/jwks.json",
            ),
            (
                "https://id.example?key=1",
                "id.example",
                "/?key=1",
                "https://id.example/",
            ),
            (
                "http://127.0.0.1:80/j?k",
                "127.0.0.1",
                "/j?k",
                "http://127.0.0.1/j",
            ),
            ("http://[::1]:81/j", "[::1]:81", "/j", "http://[::1]:81/j"),
            ("http://localhost/", "localhost", "/", "http://localhost/"),
        ] {
            let url = JwksUrl::parse(text).unwrap();
            assert_eq!(
                (url.authority().as_str(), url.target()),
                (authority, target),
                "{text}"
            );
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn what_could_be_anybodys_and_what_is_no_address_is_refused() {
        for text in [
            "",
            "id.example",
            "ftp://id.example",
            "http://id.example/",
            "http://localhost.example/",
            "http://127.0.0.1.example",
            "http://10.0.0.1/",
            "https://",
            "https:///x",
            "https://a:0/",
            "https://a:65536/",
            "https://a:b/",
            "https://user@id.example/",
            "https://user:pw@id.example/",
            "https://id.example/#x",
            "https://id.example/a b",
            "https://id.example/\r\nX: y",
            "https://[::1/",
            "https://[x]/",
            "https://[::1]x/",
            "https://ü.example/",
            "https://id.example\\@localhost/",
        ] {
            assert!(JwksUrl::parse(text).is_err(), "{text}");
        }
    }
}
