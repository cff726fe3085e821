//! Looking at where a livelog is to be made, before anything is: what is there already, and whether anything could be.

use std::sync::Arc;

use futures::StreamExt;

use super::{EmbeddedOptions, MongoOptions, Store, StoreError, StoreOptions};
use crate::domain::Seq;
use crate::fairness::Requester;
use crate::query::Query;

/// A livelog that is where one is to be made.
#[derive(Debug)]
pub struct Site {
    /// Where its log ends.
    pub head: Seq,
    /// Whether there are events.
    pub has_events: bool,
    /// The note that was asked for, if it has it.
    pub note: Option<String>,
}

impl Site {
    /// What an open store is, and its note of this name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn of(store: &dyn Store, note: &str) -> Result<Self, StoreError> {
        let head = store.head().await?;
        let mut view = store
            .find(&Requester::alone(), &Arc::new(Query::everything()))
            .await?
            .events;
        let has_events = view.next().await.transpose()?.is_some();
        let note = store.note(note).await?;
        Ok(Self {
            head,
            has_events,
            note,
        })
    }
}

/// What is there, and its note of this name; `None` if nothing is and a livelog can be made. Nothing is made or changed.
///
/// # Errors
/// Why nothing can be written there, and what to do about it.
pub async fn survey(options: &StoreOptions, note: &str) -> anyhow::Result<Option<Site>> {
    match options {
        StoreOptions::Embedded(options) => embedded(options, note).await,
        StoreOptions::Mongo(options) => mongo(options, note).await,
    }
}

#[cfg(feature = "embedded")]
async fn embedded(options: &EmbeddedOptions, note: &str) -> anyhow::Result<Option<Site>> {
    use super::embedded::EmbeddedStore;
    if !EmbeddedStore::ensure_writable(options)? {
        return Ok(None);
    }
    let store = EmbeddedStore::open_unwritten(options.clone(), false).await?;
    let site = Site::of(&*store, note).await;
    store.close().await;
    Ok(Some(site?))
}

#[cfg(not(feature = "embedded"))]
async fn embedded(_: &EmbeddedOptions, _: &str) -> anyhow::Result<Option<Site>> {
    Err(super::open::no_embedded())
}

#[cfg(feature = "mongodb")]
async fn mongo(options: &MongoOptions, note: &str) -> anyhow::Result<Option<Site>> {
    Ok(super::mongo::MongoStore::survey(options, note).await?)
}

#[cfg(not(feature = "mongodb"))]
async fn mongo(_: &MongoOptions, _: &str) -> anyhow::Result<Option<Site>> {
    Err(super::open::no_mongo())
}
