//! A collection that another program wrote, read to move it in. Nothing here writes.

mod changes;
mod decode;
mod documents;

use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use mongodb::options::ReadConcern;
use mongodb::results::CollectionType;
use mongodb::{Collection, Database};

use super::open::{MongoOpenError, client_options, diagnose, hello};
use super::wire::call::{CALL_DEADLINE, within};
use crate::store::{MongoOptions, Source, SourceChanges, SourceOptions, SourcePage, StoreError};

/// Where drivers, and Mongoose with them, keep what is in no database by name.
const DATABASE_DEFAULT: &str = "test";

/// The most collections that are listed to who named none of them.
const LISTED_MAX: usize = 20;

/// See [`Source`].
#[derive(Debug)]
pub struct MongoSource {
    collection: Collection<RawDocumentBuf>,
    name: String,
    kind: ServerKind,
    /// Why it has no changes of its own, if it is no ordinary collection.
    unfollowable: Option<String>,
}

/// What kind of server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerKind {
    /// Without a log of its own: no change streams, no snapshots.
    Standalone,
    /// A replica set, or a router of a sharded cluster.
    Replicated,
}

impl MongoSource {
    /// Reaches the collection.
    ///
    /// # Errors
    /// If it does not exist, or the server cannot be reached.
    pub async fn open(options: &SourceOptions) -> Result<Self, MongoOpenError> {
        let client_options = client_options(&options.uri).await?;
        let client = mongodb::Client::with_options(client_options.clone())
            .map_err(|_| MongoOpenError::BadAddress)?;
        let hello = match hello(client.database("admin"), CALL_DEADLINE).await {
            Ok(hello) => hello,
            Err(failure) => return Err(diagnose(&client_options, failure).await),
        };
        let is_replicated = hello.get_str("setName").is_ok() || hello.get_str("msg").is_ok();
        let database = MongoOptions {
            uri: options.uri.clone(),
            database: options.database.clone(),
        };
        let database = database.named_database();
        let database = client.database(database.as_deref().unwrap_or(DATABASE_DEFAULT));
        ensure_there(&database, &options.collection).await?;
        let unfollowable = unfollowable(&database, &options.collection).await?;
        Ok(Self {
            collection: database.collection(&options.collection),
            name: format!("{}.{}", database.name(), options.collection),
            kind: match is_replicated {
                true => ServerKind::Replicated,
                false => ServerKind::Standalone,
            },
            unfollowable,
        })
    }

    /// What has been read cannot be rolled back, where there is such a thing.
    fn read_concern(&self) -> ReadConcern {
        match self.kind {
            ServerKind::Standalone => ReadConcern::local(),
            ServerKind::Replicated => ReadConcern::majority(),
        }
    }
}

async fn ensure_there(database: &Database, name: &str) -> Result<(), MongoOpenError> {
    let listed = database.clone();
    let names = within(CALL_DEADLINE, async move {
        listed.list_collection_names().await
    });
    let mut names = names.await?;
    if names.iter().any(|found| found == name) {
        return Ok(());
    }
    names.sort();
    names.truncate(LISTED_MAX);
    let found = match names.is_empty() {
        true => "none (--source-database names another)".to_owned(),
        false => names.join(", "),
    };
    Err(MongoOpenError::NoCollection {
        name: name.to_owned(),
        database: format!("the database {}", database.name()),
        found,
    })
}

/// Why what has this name tells nobody of its changes, if it is anything but an ordinary collection.
async fn unfollowable(database: &Database, name: &str) -> Result<Option<String>, MongoOpenError> {
    let (listed, filter) = (database.clone(), doc! { "name": name });
    let found = within(CALL_DEADLINE, async move {
        listed
            .list_collections()
            .filter(filter)
            .await?
            .try_next()
            .await
    });
    let Some(found) = found.await? else {
        return Ok(None);
    };
    let of = found.options.view_on.as_deref().unwrap_or("others");
    Ok(match found.collection_type {
        CollectionType::Collection => None,
        CollectionType::View => Some(format!(
            "it is a view of {of}, which has no changes of its own. Follow {of} instead, or adopt the view without --follow"
        )),
        _ => Some(
            "it is no ordinary collection, so it tells no changes. Adopt it without --follow"
                .to_owned(),
        ),
    })
}

#[async_trait]
impl Source for MongoSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let collection = self.collection.clone();
        let counted = within(CALL_DEADLINE, async move {
            collection.estimated_document_count().await
        });
        Ok(counted.await?)
    }

    async fn documents(
        &self,
        is_one_moment: bool,
    ) -> Result<BoxStream<'static, Result<SourcePage, StoreError>>, StoreError> {
        let is_snapshot = is_one_moment && self.kind == ServerKind::Replicated;
        Ok(documents::read(
            self.collection.clone(),
            self.read_concern(),
            is_snapshot,
            is_one_moment && !is_snapshot,
        ))
    }

    async fn position(&self) -> Result<String, StoreError> {
        if let Some(reason) = &self.unfollowable {
            return Err(StoreError::Refused(reason.clone()));
        }
        match self.kind {
            ServerKind::Replicated => changes::position(&self.collection).await,
            ServerKind::Standalone => Err(StoreError::Refused(
                "it is a standalone server, which tells nobody what changes. Adopt without --follow while nothing \
                 writes to it; or make it a replica set (restart mongod with --replSet rs0, then rs.initiate())"
                    .to_owned(),
            )),
        }
    }

    fn changes(&self, after: &str) -> Result<SourceChanges, StoreError> {
        changes::read(self.collection.clone(), after)
    }
}
