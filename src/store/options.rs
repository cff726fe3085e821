//! Which store is used, and where it is.

use std::fmt;
use std::path::PathBuf;

/// Where the log and the view are.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// In a folder on this machine.
    Embedded(EmbeddedOptions),
    /// In a MongoDB replica set.
    Mongo(MongoOptions),
}

/// Where the embedded store's file is.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder; made if it is missing.
    pub dir: PathBuf,
}

/// Where the MongoDB is.
#[derive(Clone)]
pub struct MongoOptions {
    /// `mongodb://…`; can hold a password.
    pub uri: String,
    /// The database; else the address's, else `events_db`.
    pub database: Option<String>,
}

/// Without the address, which can hold a password.
impl fmt::Debug for MongoOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MongoOptions")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// What to do to be rid of it, as `remove …`.
    pub fn removal(&self) -> String {
        match self {
            Self::Embedded(EmbeddedOptions { dir }) => {
                format!("remove the folder {}", dir.display())
            }
            #[cfg(not(feature = "mongodb"))]
            Self::Mongo(_) => "drop the database".to_owned(),
            #[cfg(feature = "mongodb")]
            Self::Mongo(options) => format!("drop the database {}", options.database_name()),
        }
    }

    /// Another store of the same kind: in this folder, or in this database of the same MongoDB.
    #[must_use]
    pub fn elsewhere(&self, name: &str) -> Self {
        match self {
            Self::Embedded(_) => Self::Embedded(EmbeddedOptions { dir: name.into() }),
            Self::Mongo(options) => Self::Mongo(MongoOptions {
                uri: options.uri.clone(),
                database: Some(name.to_owned()),
            }),
        }
    }
}

/// Which store it is, where it is, and which option chooses the other one.
impl fmt::Display for StoreOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(EmbeddedOptions { dir }) => write!(
                formatter,
                "the log and the view are in the folder {}; --mongodb URI keeps them in MongoDB",
                dir.display()
            ),
            #[cfg(not(feature = "mongodb"))]
            Self::Mongo(_) => formatter.write_str("the log and the view are in MongoDB"),
            // Without the URI, which may contain a password.
            #[cfg(feature = "mongodb")]
            Self::Mongo(options) => write!(
                formatter,
                "the log and the view are in MongoDB, in the database {}; --data DIR keeps them in a folder",
                options.database_name()
            ),
        }
    }
}
