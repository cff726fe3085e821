//! What the server needs to know, validated: the one step between the command line and the parts.

use std::net::SocketAddr;

use crate::store::StoreOptions;
use crate::transport::Origins;

/// What `livelog serve` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreOptions,
    /// Origins of web pages that may connect, beside the server's own.
    pub origins: Origins,
    /// Bytes of recent changes kept in memory for sessions.
    pub window_bytes: usize,
}
