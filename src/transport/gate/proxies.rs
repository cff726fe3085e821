//! From which address a request comes: that of the connection, or what a trusted proxy says of it.
//!
//! Anyone can send `X-Forwarded-For` and `Forwarded`, and a proxy adds to what it was sent. So they are read from their end: as
//! far as the addresses are those of proxies that the operator trusts, each has said what stands before it. The first other one
//! is the client's, and whatever stands before that is hearsay. If a header cannot be read, or two do not agree, it is as if
//! there were none.

use std::iter;
use std::net::{IpAddr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::limits;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks whose word is taken for where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads a list of networks and addresses: `10.0.0.0/8`, `::1`. Empty ones are skipped.
    ///
    /// # Errors
    /// The first that is neither.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        let named = networks.iter().map(|network| network.trim());
        let parse = |text: &str| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse()).map_err(|_| {
                format!("{text:?}: expected a network such as 10.0.0.0/8, or an address")
            })
        };
        named
            .filter(|network| !network.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request with these headers, on a connection from `peer`, comes from.
    pub(crate) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let by_header = [
            self.client_by(headers, &X_FORWARDED_FOR, split_list, parse_address),
            self.client_by(headers, &FORWARDED, split_quoted, parse_forwarded),
        ];
        match by_header {
            [Said::Client(client), Said::Nothing] | [Said::Nothing, Said::Client(client)] => client,
            [Said::Client(client), Said::Client(other)] if client == other => client,
            _ => peer,
        }
    }

    fn client_by(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        split: fn(&str) -> Vec<&str>,
        parse: fn(&str) -> Option<IpAddr>,
    ) -> Said {
        let lines: Option<Vec<&str>> = headers
            .get_all(name)
            .iter()
            .map(|line| line.to_str().ok())
            .collect();
        let Some(lines) = lines else {
            return Said::Nonsense;
        };
        let hops: Vec<&str> = lines.into_iter().flat_map(split).collect();
        if hops.is_empty() {
            return Said::Nothing;
        }
        if hops.len() > limits::FORWARDED_MAX {
            return Said::Nonsense;
        }
        self.last_stranger(hops.into_iter().map(parse))
    }

    /// Of addresses from the client on: the last that is not trusted, or the first of all if each is.
    fn last_stranger(&self, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> Said {
        let mut first = None;
        for hop in hops.rev() {
            let Some(address) = hop else {
                return Said::Nonsense;
            };
            if !self.trust(address) {
                return Said::Client(address);
            }
            first = Some(address);
        }
        first.map_or(Said::Nothing, Said::Client)
    }
}

/// What a header says of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Client(IpAddr),
    Nonsense,
}

fn split_list(line: &str) -> Vec<&str> {
    line.split(',').map(str::trim).collect()
}

/// Commas within quotes divide nothing.
fn split_quoted(line: &str) -> Vec<&str> {
    let (mut is_quoted, mut start) = (false, 0);
    let mut parts = Vec::new();
    for (at, sign) in line.char_indices() {
        match sign {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(line[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(iter::once(line[start..].trim()));
    parts
}

/// The address of an element of `Forwarded`, as in `for="[2001:db8::1]:4711";proto=https`; `None` if it hides it, names none or
/// several.
fn parse_forwarded(element: &str) -> Option<IpAddr> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then_some(value.trim())
    });
    let (node, None) = (nodes.next()?, nodes.next()) else {
        return None;
    };
    match node.strip_prefix('"') {
        Some(quoted) => parse_address(quoted.strip_suffix('"')?),
        None => parse_address(node),
    }
}

/// An address, perhaps in brackets, perhaps with a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bracketed = || {
        text.strip_prefix('[')?
            .strip_suffix(']')?
            .parse()
            .ok()
            .map(IpAddr::V6)
    };
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";
    const CLIENT: &str = "203.0.113.7";

    fn client(peer: &str, lines: &[(&HeaderName, &str)]) -> String {
        let networks = ["10.0.0.0/8, ", "fd00::/8", "192.0.2.1"];
        let networks = networks.iter().flat_map(|text| text.split(','));
        let networks: Vec<String> = networks.map(str::to_owned).collect();
        let proxies = TrustedProxies::parse(&networks).unwrap();
        let headers = lines
            .iter()
            .map(|&(name, value)| (name.clone(), value.parse().unwrap()));
        let headers = headers.collect();
        let client = proxies.client_of(peer.parse().unwrap(), &headers);
        client.to_string()
    }

    fn forwarded_for(value: &str) -> String {
        client(PROXY, &[(&X_FORWARDED_FOR, value)])
    }

    fn forwarded(value: &str) -> String {
        client(PROXY, &[(&FORWARDED, value)])
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_clients() {
        for said in [
            CLIENT,
            "203.0.113.7, 10.0.0.9",
            "1.2.3.4, 203.0.113.7",
            "1.2.3.4,10.0.0.3 , 203.0.113.7,fd00::1,  192.0.2.1",
            "nonsense, 203.0.113.7",
            "203.0.113.7:4711, 10.0.0.2:80",
            "::ffff:203.0.113.7",
        ] {
            assert_eq!(forwarded_for(said), CLIENT, "{said}");
        }
        assert_eq!(forwarded_for("2001:db8::7"), "2001:db8::7");
        assert_eq!(forwarded_for("[2001:db8::7]:1"), "2001:db8::7");
        assert_eq!(
            client("::ffff:10.0.0.1", &[(&X_FORWARDED_FOR, CLIENT)]),
            CLIENT
        );
        let lines = [(&X_FORWARDED_FOR, "1.2.3.4"), (&X_FORWARDED_FOR, CLIENT)];
        assert_eq!(client(PROXY, &lines), CLIENT);
        assert_eq!(forwarded_for("10.0.0.8, 10.0.0.9"), "10.0.0.8");
    }

    #[test]
    fn the_header_of_the_standard_says_the_same() {
        for said in [
            "for=203.0.113.7",
            "For=\"203.0.113.7:80\";proto=https;by=10.0.0.1",
            "for=1.2.3.4, proto=http;for=203.0.113.7",
            "for=203.0.113.7;host=\"a,b\", for=\"[fd00::1]:99\"",
        ] {
            assert_eq!(forwarded(said), CLIENT, "{said}");
        }
        assert_eq!(forwarded("for=\"[2001:db8::7]\""), "2001:db8::7");
        let both = [(&X_FORWARDED_FOR, CLIENT), (&FORWARDED, "for=203.0.113.7")];
        assert_eq!(client(PROXY, &both), CLIENT);
    }

    #[test]
    fn who_is_no_trusted_proxy_says_nothing_of_others() {
        for peer in ["203.0.113.9", "2001:db8::9", "11.0.0.1", "192.0.2.2"] {
            let lines = [(&X_FORWARDED_FOR, CLIENT), (&FORWARDED, "for=203.0.113.7")];
            assert_eq!(client(peer, &lines), peer);
        }
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for said in [
            "",
            ",",
            "unknown",
            "203.0.113.7,",
            "203.0.113.7, , 10.0.0.2",
            "203.0.113",
            "203.0.113.7/32",
            "203.0.113.7:99999",
            "203.0.113.7 1.2.3.4",
            "[203.0.113.7]",
            "\"203.0.113.7\"",
            "for=203.0.113.7",
            "203.0.113.07",
        ] {
            assert_eq!(forwarded_for(said), PROXY, "{said}");
        }
        for said in [
            "",
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "203.0.113.7",
            "for=\"203.0.113.7",
            "for=203.0.113.7;for=1.2.3.4",
            "for=\"203.0.113.7, for=10.0.0.2",
            "for=203.0.113.7, by=10.0.0.2",
        ] {
            assert_eq!(forwarded(said), PROXY, "{said}");
        }
        let many = vec![CLIENT; limits::FORWARDED_MAX + 1].join(",");
        assert_eq!(forwarded_for(&many), PROXY);
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn two_headers_that_do_not_agree_say_nothing() {
        for (one, other) in [
            (CLIENT, "for=1.2.3.4"),
            (CLIENT, "for=unknown"),
            ("nonsense", "for=203.0.113.7"),
        ] {
            let lines = [(&X_FORWARDED_FOR, one), (&FORWARDED, other)];
            assert_eq!(client(PROXY, &lines), PROXY, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in [
            "10.0.0.0/33",
            "10.0.0",
            "example.org",
            "::/129",
            "10.0.0.1/",
            "*",
        ] {
            let refused = TrustedProxies::parse(&[text.to_owned()]);
            assert!(refused.unwrap_err().contains(text), "{text}");
        }
    }
}
