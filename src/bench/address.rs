//! The address of a node, and which changes a session asks for.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_tungstenite::tungstenite::http::Uri;

/// Where a node listens: `ws://HOST[:PORT]/PATH`, or `wss://`.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) authority: String,
    pub(super) has_tls: bool,
    port: u16,
    pub(super) host: String,
    pub(super) path: String,
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.parse().context("not a URL")?;
        let has_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => bail!("the URL must begin with ws:// or wss://"),
        };
        ensure!(uri.query().is_none(), "the URL must not have a query");
        let authority = uri.authority().context("the URL names no host")?;
        Ok(Self {
            authority: authority.to_string(),
            has_tls,
            port: authority
                .port_u16()
                .unwrap_or(if has_tls { 443 } else { 80 }),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            path: uri.path().to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "wss" } else { "ws" };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl Address {
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect((self.host.as_str(), self.port)).await
    }

    /// Connects with a receive buffer of about `bytes`. It must be set before connecting, because it decides how large
    /// a window TCP can offer.
    pub(super) async fn dial_narrow(&self, bytes: u32) -> io::Result<TcpStream> {
        let mut failed = io::Error::other("the host has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.set_recv_buffer_size(bytes)?;
            match socket.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// The changes of a session's default feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Changes {
    /// Only answers and broadcasts
    None,
    /// Every change
    All,
    /// Every change after a position in the log
    #[value(skip)]
    After(u64),
}

impl Changes {
    pub(super) fn query(self) -> String {
        match self {
            Self::None => "?changes=none".to_owned(),
            Self::All => String::new(),
            Self::After(seq) => format!("?after={seq}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_websocket_urls() {
        let address: Address = "ws://127.0.0.1:3000/ws".parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 3000));
        assert_eq!(address.path, "/ws");
        let address: Address = "ws://[::1]:9/ws".parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 9));
        let address: Address = "wss://host/ws".parse().unwrap();
        assert!(address.has_tls && address.port == 443);
        for wrong in ["https://host/ws", "host/ws", "ws://host/ws?after=1", ""] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_query_names_the_changes_of_a_session() {
        assert_eq!(Changes::All.query(), "");
        assert_eq!(Changes::None.query(), "?changes=none");
        assert_eq!(Changes::After(7).query(), "?after=7");
    }
}
