//! Which web pages may open a socket.
//!
//! A browser sends a page's cookies and reaches its user's private network whatever page asks, and no
//! CORS rule covers WebSockets; so a page of another origin is refused unless it is listed. Programs
//! that are not browsers send no `Origin` and are let in.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};
use tower_http::cors::AllowOrigin;

use crate::protocol::{Code, Failure};

/// Origins that are let in beside the server's own, e.g. `https://app.example.org`.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// Reads a list of origins.
    ///
    /// # Errors
    /// Names the first that is not `scheme://host[:port]`.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        let parse = |origin: &String| {
            let text = origin.to_ascii_lowercase();
            let uri: Option<Uri> = text.parse().ok();
            let whole = uri.is_some_and(|uri| {
                uri.scheme().is_some() && uri.authority().is_some() && uri.path() == "/"
            });
            let value = HeaderValue::from_str(&text)
                .ok()
                .filter(|_| whole && !text.ends_with('/'));
            value.ok_or_else(|| {
                format!("{origin}: an origin is scheme://host or scheme://host:port")
            })
        };
        origins
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn listed(&self) -> AllowOrigin {
        AllowOrigin::list(self.0.clone())
    }

    /// Whether a request with these headers may open a socket.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let same = || {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| {
                host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
            })
        };
        match self
            .0
            .iter()
            .any(|listed| listed.as_bytes() == origin.as_bytes())
            || same()
        {
            true => Ok(()),
            false => Err(Failure::new(
                Code::ForbiddenOrigin,
                "pages of this origin may not connect; see --allow-origin",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: Option<&str>, host: &str) -> bool {
        let listed = Origins::parse(&["https://App.example.org".to_owned()]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())));
        listed.check(&headers).is_ok()
    }

    #[test]
    fn the_same_origin_listed_ones_and_programs_are_let_in() {
        assert!(allowed(None, "127.0.0.1:3000"));
        assert!(allowed(Some("http://127.0.0.1:3000"), "127.0.0.1:3000"));
        assert!(allowed(Some("http://Localhost:3000"), "localhost:3000"));
        assert!(allowed(Some("https://app.example.org"), "127.0.0.1:3000"));
    }

    #[test]
    fn every_other_page_is_refused() {
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:3001",
            "http://127.0.0.1",
            "http://127.0.0.1:3000.evil.example",
            "http://app.example.org",
            "https://app.example.org.evil.example",
            "null",
            "",
        ] {
            assert!(!allowed(Some(origin), "127.0.0.1:3000"), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_cannot_be_listed() {
        for text in [
            "",
            "*",
            "example.org",
            "https://example.org/",
            "https://example.org/path",
        ] {
            assert!(Origins::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
