//! What the server needs to know, validated: the one step between the command line and the parts.

use std::fmt;
use std::net::SocketAddr;

use crate::store::embedded::EmbeddedOptions;
use crate::store::mongo::MongoOptions;
use crate::transport::Origins;

/// Where the log and the view are.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// In a folder of this machine.
    Embedded(EmbeddedOptions),
    /// In a MongoDB replica set.
    Mongo(MongoOptions),
}

/// Which store, where, and how to have the other.
impl fmt::Display for StoreOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(EmbeddedOptions { dir }) => write!(
                formatter,
                "the log and the view are in the folder {}; --mongodb URI keeps them in MongoDB",
                dir.display()
            ),
            // Without the address, which can hold a password.
            Self::Mongo(MongoOptions { database, .. }) => write!(
                formatter,
                "the log and the view are in MongoDB, in {}; --data DIR keeps them in a folder",
                match database {
                    Some(name) => format!("the database {name}"),
                    None => "the database its address names, or events_db".to_owned(),
                }
            ),
        }
    }
}

/// What `livelog serve` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreOptions,
    /// Origins of web pages that may connect, beside the server's own.
    pub origins: Origins,
}
