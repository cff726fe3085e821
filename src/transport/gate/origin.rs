//! Which web pages may ask.
//!
//! A browser reaches its user's private network whatever page asks, no CORS rule covers WebSockets, and a simple
//! POST is sent before any rule is asked. So a request that names an origin, which browsers do and programs need not,
//! is heard only if that is this server's own or listed.

use super::host::{Authority, Host, HostPattern};

/// `scheme://host[:port]`, as a browser writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = split(text)?;
        let Authority { host, port } = Authority::parse(rest)?;
        let port = port.or(default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether it is that of the pages that would be served here. This server speaks plain HTTP: what a proxy in
    /// front of it speaks is the operator's to say.
    fn is_of(&self, own: &Authority) -> bool {
        let port = own.port.or(default_port("http"));
        self.scheme == "http" && self.host == own.host && self.port == port
    }
}

fn split(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && scheme.bytes().all(plain)).then(|| (scheme.to_ascii_lowercase(), rest))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[derive(Debug, Clone)]
struct Listed {
    scheme: String,
    host: HostPattern,
    port: Option<u16>,
}

/// Origins that are let in beside the server's own, e.g. `https://app.example.org`.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<Listed>);

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visitor {
    /// A program, or a page of this server's own origin.
    Own,
    /// A page of an origin that the operator has listed: its browser must be told so.
    Listed,
}

impl Origins {
    /// Reads a list of origins: `https://app.example.org`, `http://localhost:5173`, `https://*.example.org`. Empty
    /// ones are none.
    ///
    /// # Errors
    /// Names the first that is not `scheme://host[:port]`.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        let named = origins.iter().map(|origin| origin.trim());
        let parse = |origin: &str| {
            Listed::parse(origin).ok_or_else(|| {
                format!(
                    "{origin:?}: an origin is SCHEME://HOST or SCHEME://HOST:PORT, perhaps with *. before the \
                     host, and with nothing after it, not even a slash"
                )
            })
        };
        named
            .filter(|origin| !origin.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whose page's request to `own` this is; nobody's who may ask, if it is none.
    pub(super) fn recognize(&self, origin: &Origin, own: Option<&Authority>) -> Option<Visitor> {
        if own.is_some_and(|own| origin.is_of(own)) {
            return Some(Visitor::Own);
        }
        let listed = self.0.iter().any(|listed| listed.matches(origin));
        listed.then_some(Visitor::Listed)
    }
}

impl Listed {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = split(text)?;
        let (host, port) = HostPattern::parse(rest)?;
        // Before a colon there is a port after it: `https://a:` is no origin.
        let port = port.or(default_port(&scheme));
        (!rest.ends_with([':', '.'])).then_some(Self { scheme, host, port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        self.scheme == origin.scheme && self.port == origin.port && self.host.matches(&origin.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(listed: &[&str], origin: &str, host: &str) -> Option<Visitor> {
        let listed: Vec<String> = listed.iter().map(|&origin| origin.to_owned()).collect();
        let origins = Origins::parse(&listed).unwrap();
        origins.recognize(&Origin::parse(origin)?, Authority::parse(host).as_ref())
    }

    #[test]
    fn pages_of_the_own_origin_are_those_of_scheme_host_and_port() {
        for (origin, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://Localhost:3000", "localhost:3000"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:80", "localhost"),
            ("http://[::1]:3000", "[0:0:0:0:0:0:0:1]:3000"),
        ] {
            assert_eq!(
                visitor(&[], origin, host),
                Some(Visitor::Own),
                "{origin} {host}"
            );
        }
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:3001",
            "http://127.0.0.1",
            "https://127.0.0.1:3000",
            "ftp://127.0.0.1:3000",
            "file://127.0.0.1:3000",
            "ws://127.0.0.1:3000",
            "http://127.0.0.1:3000.evil.example",
            "http://127.0.0.1:3000/",
            "http://user@127.0.0.1:3000",
            "127.0.0.1:3000",
            "file://",
            "null",
            "",
        ] {
            assert_eq!(visitor(&[], origin, "127.0.0.1:3000"), None, "{origin}");
        }
    }

    #[test]
    fn listed_origins_match_by_their_parts() {
        let listed = [
            "https://App.example.org",
            "https://*.example.net",
            "http://localhost:5173",
            "https://port.example:443",
            "tauri://localhost",
            "",
        ];
        for origin in [
            "https://app.example.org",
            "https://app.example.org:443",
            "https://a.example.net",
            "https://a.b.example.net:443",
            "http://localhost:5173",
            "https://port.example",
            "tauri://localhost",
        ] {
            let visitor = visitor(&listed, origin, "127.0.0.1:3000");
            assert_eq!(visitor, Some(Visitor::Listed), "{origin}");
        }
        for origin in [
            "http://app.example.org",
            "https://app.example.org:444",
            "https://app.example.org.evil.example",
            "https://example.net",
            "https://xexample.net",
            "http://a.example.net",
            "https://a.example.net:8443",
            "https://.example.net",
            "null",
        ] {
            assert_eq!(visitor(&listed, origin, "127.0.0.1:3000"), None, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_cannot_be_listed() {
        for text in [
            "*",
            "null",
            "example.org",
            "https://",
            "https://*",
            "https://example.org/",
            "https://example.org/path",
            "https://a.*.org",
            "https://user@example.org",
            "https://example.org:",
            "https://bücher.example",
        ] {
            assert!(Origins::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
