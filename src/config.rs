//! What the server needs to know, validated: the one step between the command line and the parts.

use std::net::SocketAddr;

use crate::store::StoreOptions;
use crate::transport::Guests;

/// What `livelog serve` needs.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreOptions,
    /// Who may ask, beside the server's own pages and programs on its own names.
    pub guests: Guests,
    /// Bytes of recent changes kept in memory for sessions.
    pub window_bytes: usize,
}
