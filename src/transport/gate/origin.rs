//! Which web pages may send requests.
//!
//! A browser lets any page reach its user's private network, CORS does not cover WebSockets, and a simple POST is sent
//! before CORS is checked. So a request that names an origin, as browsers do and programs need not, is served only if
//! the origin is this server's own or listed.

use super::host::{Authority, Host, HostPattern};

/// `scheme://host[:port]`, as a browser writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Origin {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = split(text)?;
        let Authority { host, port } = Authority::parse(rest)?;
        let port = port.or(default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether it is that of pages served by this server, as `target`, by the scheme that it speaks itself: an origin of
    /// a proxy in front of it that speaks another must be listed.
    fn is_own(&self, target: &Authority, own_scheme: &str) -> bool {
        let port = target.port.or(default_port(own_scheme));
        self.scheme == own_scheme && self.host == target.host && self.port == port
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
struct OriginPattern {
    scheme: String,
    host: HostPattern,
    port: Option<u16>,
}

/// Origins that are allowed beside the server's own, e.g. `https://app.example.org`.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Vec<OriginPattern>);

/// Why an origin is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OriginMatch {
    /// A program, which has none, or a page of this server's own origin.
    Own,
    /// A page of a listed origin: the answer needs CORS headers.
    Listed,
}

impl AllowedOrigins {
    /// Reads a list of origins: `https://app.example.org`, `http://localhost:5173`, `https://*.example.org`. Empty
    /// ones are skipped.
    ///
    /// # Errors
    /// The first that is not `scheme://host[:port]`.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        let named = origins.iter().map(|origin| origin.trim());
        let parse = |origin: &str| {
            OriginPattern::parse(origin).ok_or_else(|| {
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

    /// Why a page of this origin may send a request to `target` by `own_scheme`; `None` if it may not.
    pub(super) fn match_origin(
        &self,
        origin: &Origin,
        target: Option<&Authority>,
        own_scheme: &str,
    ) -> Option<OriginMatch> {
        if target.is_some_and(|target| origin.is_own(target, own_scheme)) {
            return Some(OriginMatch::Own);
        }
        let is_listed = self.0.iter().any(|pattern| pattern.matches(origin));
        is_listed.then_some(OriginMatch::Listed)
    }
}

impl OriginPattern {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = split(text)?;
        let (host, port) = HostPattern::parse(rest)?;
        // `https://a:` has a colon and no port: it is not an origin.
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

    fn matched_by(
        own_scheme: &str,
        listed: &[&str],
        origin: &str,
        host: &str,
    ) -> Option<OriginMatch> {
        let listed: Vec<String> = listed.iter().map(|&origin| origin.to_owned()).collect();
        let origins = AllowedOrigins::parse(&listed).unwrap();
        let target = Authority::parse(host);
        origins.match_origin(&Origin::parse(origin)?, target.as_ref(), own_scheme)
    }

    fn matched(listed: &[&str], origin: &str, host: &str) -> Option<OriginMatch> {
        matched_by("http", listed, origin, host)
    }

    #[test]
    fn pages_of_a_server_that_speaks_tls_are_of_https() {
        for (origin, host) in [
            ("https://127.0.0.1:3000", "127.0.0.1:3000"),
            ("https://localhost", "localhost:443"),
            ("https://localhost:443", "localhost"),
        ] {
            let matched = matched_by("https", &[], origin, host);
            assert_eq!(matched, Some(OriginMatch::Own), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://localhost", "localhost"),
            ("https://localhost", "localhost:80"),
            ("https://localhost:3001", "localhost:3000"),
        ] {
            assert_eq!(
                matched_by("https", &[], origin, host),
                None,
                "{origin} {host}"
            );
        }
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
                matched(&[], origin, host),
                Some(OriginMatch::Own),
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
            assert_eq!(matched(&[], origin, "127.0.0.1:3000"), None, "{origin}");
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
            let matched = matched(&listed, origin, "127.0.0.1:3000");
            assert_eq!(matched, Some(OriginMatch::Listed), "{origin}");
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
            assert_eq!(matched(&listed, origin, "127.0.0.1:3000"), None, "{origin}");
        }
    }

    #[test]
    fn other_texts_cannot_be_listed() {
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
            assert!(AllowedOrigins::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
