//! Opening the store that the options name, if this build has it.

use std::sync::Arc;

use super::move_progress::ensure_whole;
use super::{EmbeddedOptions, MongoOptions, Store, StoreOptions};

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To serve what is there, or create a livelog.
    Serve,
    /// To change what is there.
    Change,
    /// To read what is there: nothing is written, and a log of an older format stays one.
    Read { is_checked: bool },
}

/// Opens the store that the options name, and creates it if it is missing. One that was filled in part only is refused.
///
/// # Errors
/// Says what is missing, and what to do about it.
pub async fn open(options: &StoreOptions) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_for(options, Purpose::Serve).await?;
    ensure_whole(&*store, options).await?;
    Ok(store)
}

/// The same, to fill it: what was filled in part, or is about to be, is opened too.
///
/// # Errors
/// Says what is missing, and what to do about it.
pub async fn open_to_fill(options: &StoreOptions) -> anyhow::Result<Arc<dyn Store>> {
    open_for(options, Purpose::Serve).await
}

/// Opens a store that exists: a folder or a database without data is refused, not initialised; and so is one that was
/// filled in part only.
///
/// # Errors
/// Says what is missing, and what to do about it.
pub async fn open_existing(options: &StoreOptions) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_for(options, Purpose::Change).await?;
    ensure_whole(&*store, options).await?;
    Ok(store)
}

/// Opens a store that exists for reading only: the embedded store's file may be on a read-only file system, and is not
/// changed. With `is_checked` the checksum of every page of it is verified first. Whether it was filled to its end is for
/// the caller to ask ([`cut_off`](super::cut_off)).
///
/// # Errors
/// Says what is missing, and what to do about it.
pub async fn open_unwritten(
    options: &StoreOptions,
    is_checked: bool,
) -> anyhow::Result<Arc<dyn Store>> {
    open_for(options, Purpose::Read { is_checked }).await
}

async fn open_for(options: &StoreOptions, purpose: Purpose) -> anyhow::Result<Arc<dyn Store>> {
    match options {
        StoreOptions::Embedded(options) => embedded(options.clone(), purpose).await,
        StoreOptions::Mongo(options) => mongo(options.clone(), purpose).await,
    }
}

#[cfg(feature = "embedded")]
async fn embedded(options: EmbeddedOptions, purpose: Purpose) -> anyhow::Result<Arc<dyn Store>> {
    use super::embedded::EmbeddedStore;
    if purpose != Purpose::Serve {
        EmbeddedStore::ensure_data(&options)?;
    }
    Ok(match purpose {
        Purpose::Serve | Purpose::Change => EmbeddedStore::open(options).await?,
        Purpose::Read { is_checked } => EmbeddedStore::open_unwritten(options, is_checked).await?,
    })
}

#[cfg(not(feature = "embedded"))]
async fn embedded(_: EmbeddedOptions, _: Purpose) -> anyhow::Result<Arc<dyn Store>> {
    Err(no_embedded())
}

#[cfg(not(feature = "embedded"))]
pub(super) fn no_embedded() -> anyhow::Error {
    anyhow::anyhow!(
        "this livelog was built without the embedded store: name a MongoDB with --mongodb URI, or build it with \
         --features embedded"
    )
}

#[cfg(feature = "mongodb")]
async fn mongo(options: MongoOptions, purpose: Purpose) -> anyhow::Result<Arc<dyn Store>> {
    Ok(super::mongo::MongoStore::open_for(&options, purpose).await?)
}

#[cfg(not(feature = "mongodb"))]
async fn mongo(_: MongoOptions, _: Purpose) -> anyhow::Result<Arc<dyn Store>> {
    Err(no_mongo())
}

#[cfg(not(feature = "mongodb"))]
pub(super) fn no_mongo() -> anyhow::Error {
    anyhow::anyhow!(
        "this livelog was built without MongoDB: leave out --mongodb and MONGODB_URI, or build it with \
         --features mongodb"
    )
}
