//! `Accept`: which of two media types a client prefers. `Accept-Encoding`: whether it takes gzip.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use axum::http::{HeaderMap, HeaderName};

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// Whether the client prefers a stream of events: it must be named and acceptable, and weigh at least as much as JSON.
/// Clients that take anything get JSON, and so do clients that take neither, since any answer is of more use than none.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let ranges: Vec<Range> = weighed(headers, &ACCEPT).filter_map(Range::of).collect();
    let (events, json) = (weigh(&ranges, EVENTS), weigh(&ranges, JSON));
    let is_named = events.is_some_and(|best| best.precision > Precision::Anything);
    let weight = |best: Option<MediaMatch>| best.map_or(0, |best| best.thousandths);
    is_named && weight(events) > 0 && weight(events) >= weight(json)
}

/// Whether the client takes gzip: it names it, or anything, and does not weigh it 0.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = weighed(headers, &ACCEPT_ENCODING).filter_map(|weighed| {
        let is_named = match weighed.name.as_str() {
            "gzip" | "x-gzip" => true,
            "*" => false,
            _ => return None,
        };
        Some((is_named, weighed.thousandths))
    });
    codings
        .max()
        .is_some_and(|(_, thousandths)| thousandths > 0)
}

/// `name;q=0.5`, in lower case.
struct Weighed {
    name: String,
    thousandths: u16,
}

impl Weighed {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next()?;
        let quality = parts.find_map(|part| Some(part.strip_prefix("q=")?.to_owned()));
        let thousandths = quality.map_or(Some(1000), |quality| thousandths(&quality))?;
        Some(Self { name, thousandths })
    }
}

/// What a header lists, on one line or several. What cannot be read is left out.
fn weighed(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = Weighed> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Weighed::parse)
}

/// `type/subtype`, where either may be `*`.
struct Range {
    kind: String,
    thousandths: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Family,
    Kind,
}

#[derive(Clone, Copy)]
struct MediaMatch {
    precision: Precision,
    thousandths: u16,
}

impl Range {
    fn of(Weighed { name, thousandths }: Weighed) -> Option<Self> {
        let kind = Some(name).filter(|name| name.contains('/'))?;
        Some(Self { kind, thousandths })
    }

    fn covers(&self, kind: &str) -> Option<Precision> {
        let family = kind.split('/').next().unwrap_or_default();
        match self.kind.strip_suffix("/*") {
            Some("*") => Some(Precision::Anything),
            Some(range) if range == family => Some(Precision::Family),
            _ if self.kind == kind => Some(Precision::Kind),
            _ => None,
        }
    }
}

/// The most specific range decides (RFC 9110, 12.5.1).
fn weigh(ranges: &[Range], kind: &str) -> Option<MediaMatch> {
    let matches = ranges.iter().filter_map(|range| {
        let precision = range.covers(kind)?;
        let thousandths = range.thousandths;
        Some(MediaMatch {
            precision,
            thousandths,
        })
    });
    matches.max_by_key(|range| (range.precision, range.thousandths))
}

/// `0`, `1`, `0.5`, `1.000`: at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let decimals = format!("{decimals:0<3}")
        .parse::<u16>()
        .ok()
        .filter(|_| is_number)?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &[&str]) -> bool {
        let values = accept.iter().map(|value| (ACCEPT, value.parse().unwrap()));
        wants_events(&values.collect())
    }

    #[test]
    fn a_stream_is_for_clients_that_prefer_it() {
        for accept in [
            "text/event-stream",
            "Text/Event-Stream",
            "text/event-stream; charset=utf-8",
            "text/event-stream;q=0.1",
            "text/*",
            "text/event-stream, */*",
            "text/event-stream, application/json;q=0.9",
            "application/json, text/event-stream",
            "application/json;q=0, text/event-stream;q=0.001",
            "text/*;q=0, text/event-stream",
        ] {
            assert!(wants(&[accept]), "{accept}");
        }
        assert!(wants(&["text/html", "text/event-stream"]));
    }

    #[test]
    fn everyone_else_gets_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/html, */*;q=0.8",
            "text/event-stream;q=0",
            "text/event-stream;Q=0.0",
            "text/event-stream;q=0, text/*",
            "application/json, text/event-stream;q=0.9",
            "text/event-stream;q=0.5, */*",
            "text/event-streams",
            "x-text/event-stream",
            "text/event-stream;q=2",
            "text/event-stream;q=0.0001",
            "text/event-stream;q=",
            "application/json;profile=\"text/event-stream\"",
        ] {
            assert!(!wants(&[accept]), "{accept}");
        }
        assert!(!wants(&[]));
    }

    #[test]
    fn gzip_is_for_clients_that_take_it() {
        let takes = |codings: &[&str]| {
            let values = codings.iter();
            let values = values.map(|value| (ACCEPT_ENCODING, value.parse().unwrap()));
            takes_gzip(&values.collect())
        };
        for codings in [
            "gzip",
            "GZIP;q=0.1",
            "br, gzip",
            "*",
            "*;q=0, gzip",
            "x-gzip, identity",
        ] {
            assert!(takes(&[codings]), "{codings}");
        }
        assert!(takes(&["br", "gzip"]));
        for codings in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=x",
            "gzipped",
        ] {
            assert!(!takes(&[codings]), "{codings}");
        }
        assert!(!takes(&[]));
    }
}
