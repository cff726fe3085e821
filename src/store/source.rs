//! A collection of another program, which is read, and never written, to move what it holds in here.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::StoreError;
use crate::adoption::{Given, GivenFields};
use crate::domain::Timestamp;

/// Which collection.
#[derive(Clone)]
pub struct SourceOptions {
    /// `mongodb://…`; can hold a password.
    pub uri: String,
    /// The database; else the address's, else `test`, as the drivers have it.
    pub database: Option<String>,
    /// The collection.
    pub collection: String,
}

/// Without the address, which can hold a password.
impl fmt::Debug for SourceOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SourceOptions")
            .field("database", &self.database)
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

/// A document of the source.
#[derive(Debug)]
pub struct SourceDocument {
    /// Its fields.
    pub fields: GivenFields,
    /// The bytes that it takes there.
    pub bytes: usize,
}

/// Some documents, in the order of their ids.
#[derive(Debug, Default)]
pub struct SourcePage {
    /// Those after the page before.
    pub documents: Vec<SourceDocument>,
    /// Whether the snapshot was lost that the pages before were read in: these are of later.
    pub is_later: bool,
}

/// What happened to a document of the source.
#[derive(Debug)]
pub enum SourceEffect {
    /// It is this now, or was shortly after.
    Put(SourceDocument),
    /// It is gone.
    Gone,
}

/// One change to the source.
#[derive(Debug)]
pub struct SourceChange {
    /// Its identity: the same whenever it is seen again.
    pub token: String,
    /// The document's `_id`.
    pub id: Given,
    /// What happened to it.
    pub effect: SourceEffect,
    /// When, in whole seconds by the source's clock, if it says so.
    pub at: Option<Timestamp>,
    /// The position after it, for [`Source::changes`].
    pub position: String,
    /// Its share of what may be read ahead.
    pub share: OwnedSemaphorePermit,
}

/// What [`Source::changes`] yields.
#[derive(Debug)]
pub enum SourceEvent {
    /// The next change.
    Change(SourceChange),
    /// When the source was asked, at `asked` or later, there was nothing more up to this position.
    #[expect(missing_docs, reason = "the variant says it")]
    CaughtUp { position: String, asked: Instant },
}

/// Changes as they are read, until an error. What waits in it is bounded in bytes.
pub type SourceChanges = mpsc::Receiver<Result<SourceEvent, StoreError>>;

/// See the module.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// Database and collection, as people write them.
    fn name(&self) -> &str;

    /// Roughly how many documents there are.
    async fn count(&self) -> Result<u64, StoreError>;

    /// Every document, in the order of their ids: all as of one moment if `is_one_moment` and the source can.
    async fn documents(
        &self,
        is_one_moment: bool,
    ) -> Result<BoxStream<'static, Result<SourcePage, StoreError>>, StoreError>;

    /// The position in the source's changes as of now.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the source cannot tell its changes.
    async fn position(&self) -> Result<String, StoreError>;

    /// Every change after this position, in order, until an error or the receiver is dropped; and whenever there is
    /// nothing more, at least every second, that.
    ///
    /// # Errors
    /// If the position is none.
    fn changes(&self, after: &str) -> Result<SourceChanges, StoreError>;
}

/// Reaches the collection, which must exist.
///
/// # Errors
/// Says what is missing, and what to do about it.
#[cfg(feature = "mongodb")]
pub async fn open_source(options: &SourceOptions) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(super::mongo::MongoSource::open(options).await?))
}

/// This build cannot.
///
/// # Errors
/// Says so.
#[cfg(not(feature = "mongodb"))]
pub async fn open_source(_: &SourceOptions) -> anyhow::Result<Box<dyn Source>> {
    anyhow::bail!(
        "this livelog was built without MongoDB, which `adopt` reads from: build it with --features mongodb, or use \
         mongoexport and `livelog import --format mongoexport`"
    )
}
