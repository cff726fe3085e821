//! Which hosts a request may be addressed to.
//!
//! A page of `http://evil.example` can let its own name point to this server after it was loaded (DNS rebinding): to
//! the browser the server is then of the page's own origin, and `Origin` and `Host` agree. So a name is allowed only
//! if it is known to be this server's: a loopback name, or one that the operator lists. An IP address needs no list,
//! since no DNS answer can change it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The length of a host name in DNS.
const NAME_BYTES_MAX: usize = 253;

/// A host: `Host` and `Origin` are compared by it, whatever the letters' case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    /// In lower case, without a trailing dot.
    Name(String),
}

/// `host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (Host::Ip(address.into()), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (Host::parse(&text[..end])?, &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(plain)
            && name.split('.').all(|label| !label.is_empty());
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    fn is_loopback_name(&self) -> bool {
        match self {
            Self::Ip(_) => false,
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
            Self::Ip(address) => address.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

/// A host, or with `*.` before it all its subdomains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostPattern {
    Exact(Host),
    Subdomains(String),
}

impl HostPattern {
    /// Reads `name[:port]` or `*.name[:port]`.
    pub(super) fn parse(text: &str) -> Option<(Self, Option<u16>)> {
        let Some(domain) = text.strip_prefix("*.") else {
            let Authority { host, port } = Authority::parse(text)?;
            return Some((Self::Exact(host), port));
        };
        match Authority::parse(domain)? {
            Authority {
                host: Host::Name(name),
                port,
            } => Some((Self::Subdomains(name), port)),
            Authority {
                host: Host::Ip(_), ..
            } => None,
        }
    }

    pub(super) fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Subdomains(_), Host::Ip(_)) => false,
            (Self::Subdomains(name), Host::Name(host)) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

/// The names of this server, beside loopback names and IP addresses.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts(Vec<(HostPattern, Option<u16>)>);

impl AllowedHosts {
    /// Reads a list of names: `livelog.example.org`, `livelog:3000`, `*.example.org`. Empty ones are skipped.
    ///
    /// # Errors
    /// The first that is not a name.
    pub fn parse(hosts: &[String]) -> Result<Self, String> {
        let named = hosts.iter().map(|host| host.trim());
        let parse = |host: &str| {
            HostPattern::parse(host).ok_or_else(|| {
                format!("{host:?}: a host is NAME, NAME:PORT or *.NAME, without scheme and path")
            })
        };
        named
            .filter(|host| !host.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a request to this authority is meant for this server.
    pub(super) fn allow(&self, target: &Authority) -> bool {
        let listed = |(pattern, port): &(HostPattern, Option<u16>)| {
            pattern.matches(&target.host) && is_port(*port, target.port)
        };
        matches!(target.host, Host::Ip(_))
            || target.host.is_loopback_name()
            || self.0.iter().any(listed)
    }
}

/// A port that is left out is the scheme's default, and behind a proxy the scheme is unknown.
fn is_port(listed: Option<u16>, target: Option<u16>) -> bool {
    match (listed, target) {
        (None, _) => true,
        (Some(listed), Some(target)) => listed == target,
        (Some(listed), None) => [80, 443].contains(&listed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listed: &[&str], host: &str) -> bool {
        let listed: Vec<String> = listed.iter().map(|&host| host.to_owned()).collect();
        let hosts = AllowedHosts::parse(&listed).unwrap();
        Authority::parse(host).is_some_and(|authority| hosts.allow(&authority))
    }

    #[test]
    fn loopback_names_and_addresses_are_always_this_server() {
        for host in [
            "localhost",
            "LocalHost:3000",
            "localhost.",
            "app.localhost:80",
            "127.0.0.1:3000",
            "127.9.9.9",
            "10.0.0.7:1",
            "[::1]:3000",
            "[::1]",
            "[fe80::1]:80",
            "127.0.0.1:",
        ] {
            assert!(allows(&[], host), "{host}");
        }
    }

    #[test]
    fn other_names_are_this_server_only_if_they_are_listed() {
        let listed = ["", "Live.Example.org", "*.apps.example:8443", "node:443"];
        for host in [
            "live.example.org",
            "live.example.org:99",
            "LIVE.example.org.",
            "a.b.apps.example:8443",
            "node",
            "node:443",
        ] {
            assert!(allows(&listed, host), "{host}");
            assert!(!allows(&[], host), "{host}");
        }
        for host in [
            "example.org",
            "x.live.example.org",
            "live.example.org.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "apps.example:8443",
            "a.apps.example:8444",
            "xapps.example:8443",
            "node:80",
            "127.1",
        ] {
            assert!(!allows(&listed, host), "{host}");
        }
    }

    #[test]
    fn other_texts_are_not_hosts() {
        for text in [
            "",
            ":80",
            "a b",
            "user@host",
            "a/b",
            "a:b",
            "a:70000",
            "a:80:80",
            "[::1",
            "[::1]x",
            "::1",
            "a..b",
            "[zz]",
            "é",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        for text in ["*", "*.", "a.*", "*.127.0.0.1", "https://a", "a/", "**.a"] {
            assert!(AllowedHosts::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
