//! Connecting to a MongoDB, refusing one that cannot keep livelog's promises, and preparing its database.
//!
//! In this order: the server, who owns the database, whether its collections are fit; only then is anything changed.

pub(super) mod collections;
mod compatibility;
pub(super) mod declared;
mod name;
mod ownership;
mod rights;

use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::{
    ClientOptions, ConnectionString, ReadConcern, ReadPreference, SelectionCriteria, ServerAddress,
};
use mongodb::{Client, Database};

use super::head;
use super::head::{FORMAT_MIN, FORMAT_UNIQUE, Head};
use super::identity::CollectionUuids;
use super::wire::call::{CALL_DEADLINE, CallError, REACH_DEADLINE, code, within};
use super::write::replaced_view;
use super::{MongoOptions, durable};
use crate::store::StoreError;
use crate::store::open::Purpose;
use compatibility::Incompatibility;
use name::BadName;
use ownership::Ownership;

/// The database used when neither the options nor the address name one.
const DATABASE_DEFAULT: &str = "events_db";

/// The wire version of MongoDB 5.0, the first with snapshot reads outside transactions.
const WIRE_VERSION_MIN: i32 = 13;

/// Why a MongoDB cannot be livelog's store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MongoOpenError {
    /// The address cannot be read. It is not repeated here, because it can hold a password.
    #[error(
        "the MongoDB address cannot be used; it should look like \
         mongodb://user:password@host:27017/database?replicaSet=rs0, with special characters in \
         user and password percent-encoded (mongodb+srv:// needs a build with the feature `srv`)"
    )]
    BadAddress,
    /// Nothing answers there, or no primary was found.
    #[error("cannot reach MongoDB at {address}: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Unreachable { address: String, reason: String },
    /// Without a replica set there are no transactions and no change streams.
    #[error(
        "the MongoDB at {address} is a standalone server, and livelog needs a replica set (of one \
         member is enough). Turn it into one: restart mongod with `--replSet rs0`, then run once: \
         mongosh \"mongodb://{address}/?directConnection=true\" --eval 'rs.initiate()'"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Standalone { address: String },
    /// Started with `--replSet`, but `rs.initiate()` was never run.
    #[error(
        "the MongoDB at {address} waits for its replica set to be initiated. Run once: \
         mongosh \"mongodb://{address}/?directConnection=true\" --eval 'rs.initiate()'"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    NotInitiated { address: String },
    /// A router of a sharded cluster: one log on several shards has no order of its own.
    #[error("the MongoDB at {address} is a sharded cluster, which livelog does not support")]
    #[expect(missing_docs, reason = "the message says it")]
    Sharded { address: String },
    /// Before 5.0.
    #[error("the MongoDB at {address} is older than 5.0, which livelog needs for snapshot reads")]
    #[expect(missing_docs, reason = "the message says it")]
    TooOld { address: String },
    /// A majority of servers that keep writes in memory would not be durable.
    #[error(
        "the replica set at {address} has writeConcernMajorityJournalDefault: false, so an \
         acknowledged write could be lost; set it to true with rs.reconfig()"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    NotJournaled { address: String },
    /// No database can have this name, or it belongs to MongoDB itself.
    #[error("{reason}; name another with --database NAME")]
    #[expect(missing_docs, reason = "the message says it")]
    BadName { reason: BadName },
    /// Something else keeps its documents there.
    #[error(
        "the database {name} is not livelog's: {found}, and no log that they belong to. Nothing was \
         touched. Name another database with --database NAME; `livelog adopt` moves what another server left into one"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Foreign { name: String, found: String },
    /// A collection there is of a kind that cannot keep livelog's promises.
    #[error(
        "the database {name} cannot be livelog's as it is: {found}. Nothing was touched. {remedy}"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Unfit {
        name: String,
        found: String,
        remedy: String,
    },
    /// MongoDB makes no second one.
    #[error(
        "there is no database {name}, but one that is called {found}, and MongoDB makes none whose name differs \
         from another's in case alone: name that one with --database {found}, or another"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    OtherCase { name: String, found: String },
    /// Nothing to look at.
    #[error(
        "there is no livelog in the database {name}: name the one that has it with --database NAME"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Empty { name: String },
    /// The user may read it at most.
    #[error(
        "the MongoDB user of the address may not {action} in the database {name}: grant it readWrite there, or name \
         another database with --database NAME"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    NotWritable { name: String, action: &'static str },
    /// The database holds a log of another livelog.
    #[error(
        "the log in the database was written in format {found}; this livelog reads format {FORMAT_UNIQUE}. Use the \
         livelog that wrote it, or a newer one"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    UnknownFormat { found: i64 },
    /// What is to be moved in is not there.
    #[error("there is no collection {name} to adopt: {database} has {found}")]
    #[expect(missing_docs, reason = "the message says it")]
    NoCollection {
        name: String,
        database: String,
        found: String,
    },
    /// It was reached, but preparing it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// By hand: as a `#[source]` the reason would be printed twice.
impl From<BadName> for MongoOpenError {
    fn from(reason: BadName) -> Self {
        Self::BadName { reason }
    }
}

impl From<CallError> for MongoOpenError {
    fn from(failure: CallError) -> Self {
        Self::Store(failure.into())
    }
}

/// A MongoDB that was checked and prepared.
pub(super) struct OpenedDatabase {
    pub(super) database: Database,
    /// The same database through a client of its own, for the change stream.
    pub(super) watched: Database,
    pub(super) head: Head,
    pub(super) identity: CollectionUuids,
}

pub(super) async fn open(
    options: &MongoOptions,
    purpose: Purpose,
) -> Result<OpenedDatabase, MongoOpenError> {
    let client = client_options(&options.uri).await?;
    let name = options.database_name();
    name::check(&name)?;
    let database = connect(&client, &name)?;
    check(&database, &client).await?;
    // Before anything is made there: what others wrote, a later livelog among them, is left as it is.
    refuse(&database, purpose).await?;
    match purpose {
        Purpose::Serve => replaced_view::remove(&database).await?,
        Purpose::Change => drop(replaced_view::ensure_own(&database).await?),
        Purpose::Read { .. } => {}
    }
    collections::prepare(&database).await?;
    head::create(&database).await?;
    if !matches!(purpose, Purpose::Read { .. }) {
        head::upgrade(&database).await?;
    }
    // Before the head is read: if it is there then, these are the collections that belong to it.
    let identity = CollectionUuids::of(&database).await?;
    let head = head::read(&database, CALL_DEADLINE).await?;
    let watched = connect(&client, &name)?;
    Ok(OpenedDatabase {
        database,
        watched,
        head,
        identity,
    })
}

/// The database and the head of its log; `None` if there is none, and one can be made. Changes nothing.
pub(super) async fn survey(
    options: &MongoOptions,
) -> Result<Option<(Database, Head)>, MongoOpenError> {
    let client = client_options(&options.uri).await?;
    let name = options.database_name();
    name::check(&name)?;
    let database = connect(&client, &name)?;
    check(&database, &client).await?;
    let refused = refuse(&database, Purpose::Read { is_checked: false }).await;
    let is_missing = match refused {
        Err(MongoOpenError::Empty { .. }) => true,
        refused => refused.map(|()| false)?,
    };
    rights::ensure_writable(&database).await?;
    match is_missing {
        true => Ok(None),
        false => Ok(Some((
            database.clone(),
            head::read(&database, CALL_DEADLINE).await?,
        ))),
    }
}

/// Refuses what is there if it cannot be opened.
async fn refuse(database: &Database, purpose: Purpose) -> Result<(), MongoOpenError> {
    let name = || database.name().to_owned();
    match ownership::inspect(database).await? {
        Ownership::Livelog => refuse_unknown(database).await?,
        Ownership::Foreign(found) => {
            return Err(MongoOpenError::Foreign {
                name: name(),
                found,
            });
        }
        Ownership::Unowned => refuse_missing(database, purpose).await?,
    }
    match compatibility::first_incompatibility(database).await? {
        None => Ok(()),
        Some(Incompatibility { found, remedy }) => Err(MongoOpenError::Unfit {
            name: name(),
            found,
            remedy,
        }),
    }
}

/// Refuses a database without a livelog if none is to be created in it, or none can be.
async fn refuse_missing(database: &Database, purpose: Purpose) -> Result<(), MongoOpenError> {
    let name = database.name().to_owned();
    if let Some(found) = ownership::name_in_other_case(database).await? {
        return Err(MongoOpenError::OtherCase { name, found });
    }
    match purpose {
        Purpose::Serve => Ok(()),
        Purpose::Change | Purpose::Read { .. } => Err(MongoOpenError::Empty { name }),
    }
}

async fn refuse_unknown(database: &Database) -> Result<(), MongoOpenError> {
    match head::format(database).await? {
        Some(found) if !(FORMAT_MIN..=FORMAT_UNIQUE).contains(&found) => {
            Err(MongoOpenError::UnknownFormat { found })
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) async fn client_options(uri: &str) -> Result<ClientOptions, MongoOpenError> {
    // The driver's own message can quote the address, and with it a password.
    let mut options = ClientOptions::parse(uri)
        .await
        .map_err(|_| MongoOpenError::BadAddress)?;
    options.app_name.get_or_insert_with(|| "livelog".to_owned());
    options.server_selection_timeout = Some(REACH_DEADLINE);
    options.connect_timeout = Some(REACH_DEADLINE);
    // Whatever the address says: every promise rests on these.
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(durable());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    Ok(options)
}

impl MongoOptions {
    /// The database that the options name, or else the address, or else the default.
    pub fn database_name(&self) -> String {
        let named = self.named_database();
        named.unwrap_or_else(|| DATABASE_DEFAULT.to_owned())
    }

    /// The database that the options name, or else the address.
    pub(super) fn named_database(&self) -> Option<String> {
        let by_address = || ConnectionString::parse(&self.uri).ok()?.default_database;
        self.database.clone().or_else(by_address)
    }
}

fn connect(options: &ClientOptions, name: &str) -> Result<Database, MongoOpenError> {
    let client = Client::with_options(options.clone()).map_err(|_| MongoOpenError::BadAddress)?;
    Ok(client.database(name))
}

async fn check(database: &Database, options: &ClientOptions) -> Result<(), MongoOpenError> {
    let address = address(options);
    let admin = database.client().database("admin");
    let hello = match hello(admin.clone(), CALL_DEADLINE).await {
        Ok(hello) => hello,
        Err(failure) => return Err(diagnose(options, failure).await),
    };
    check_server(&hello, &address)?;
    check_journal(&admin, address).await
}

/// The server's description of itself.
pub(super) async fn hello(admin: Database, deadline: Duration) -> Result<Document, CallError> {
    within(deadline, async move {
        admin.run_command(doc! { "hello": 1 }).await
    })
    .await
}

fn check_server(hello: &Document, address: &str) -> Result<(), MongoOpenError> {
    let address = address.to_owned();
    if hello
        .get_str("msg")
        .is_ok_and(|message| message == "isdbgrid")
    {
        return Err(MongoOpenError::Sharded { address });
    }
    if hello.get_bool("isreplicaset").unwrap_or(false) {
        return Err(MongoOpenError::NotInitiated { address });
    }
    if hello.get_str("setName").is_err() {
        return Err(MongoOpenError::Standalone { address });
    }
    if hello.get_i32("maxWireVersion").unwrap_or(0) < WIRE_VERSION_MIN {
        return Err(MongoOpenError::TooOld { address });
    }
    Ok(())
}

/// No primary was found: asks the first server directly, because it may answer and say why.
pub(super) async fn diagnose(options: &ClientOptions, failure: CallError) -> MongoOpenError {
    let address = address(options);
    let mut direct = options.clone();
    direct.direct_connection = Some(true);
    direct.repl_set_name = None;
    direct.server_selection_timeout = Some(Duration::from_secs(2));
    if let Ok(client) = Client::with_options(direct) {
        let answer = hello(client.database("admin"), Duration::from_secs(3)).await;
        let checked = answer.map(|hello| check_server(&hello, &address));
        if let Ok(Err(reason)) = checked {
            return reason;
        }
    }
    let reason = StoreError::from(failure).to_string();
    MongoOpenError::Unreachable { address, reason }
}

/// Where the user has no right to read the configuration, the journal is taken for granted.
async fn check_journal(admin: &Database, address: String) -> Result<(), MongoOpenError> {
    let admin = admin.clone();
    let config = within(CALL_DEADLINE, async move {
        admin.run_command(doc! { "replSetGetConfig": 1 }).await
    });
    let config = match config.await {
        Err(failure) if failure.code() == Some(code::UNAUTHORIZED) => return Ok(()),
        answer => answer?,
    };
    let journaled = config
        .get_document("config")
        .and_then(|config| config.get_bool("writeConcernMajorityJournalDefault"));
    match journaled {
        Ok(false) => Err(MongoOpenError::NotJournaled { address }),
        Ok(true) | Err(_) => Ok(()),
    }
}

/// The servers' addresses, without user, password or options.
fn address(options: &ClientOptions) -> String {
    let hosts: Vec<String> = options.hosts.iter().map(ServerAddress::to_string).collect();
    hosts.join(",")
}
