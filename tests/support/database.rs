//! Where a server under test keeps its log and view: a MongoDB database or a folder, of its own in any case.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use livelog::store::{self, EmbeddedOptions, MongoOptions, Store, StoreOptions};

use super::server::BINARY;
use super::{DEADLINE, mongod};

/// A log and a view, empty at first, gone when dropped.
#[derive(Debug)]
pub struct Database {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Mongo { uri: String, name: String },
    Folder(tempfile::TempDir),
}

impl Database {
    /// In the MongoDB that all tests share; in a folder if MongoDB is not built in.
    pub async fn shared() -> Arc<Self> {
        match cfg!(feature = "mongodb") {
            true => Self::on(mongod::uri().await),
            false => Self::folder(),
        }
    }

    /// In this MongoDB.
    pub fn on(uri: String) -> Arc<Self> {
        let name = format!("livelog_test_{}", uuid::Uuid::new_v4().simple());
        let place = Place::Mongo { uri, name };
        Arc::new(Self { place })
    }

    /// In a folder: the embedded store.
    pub fn folder() -> Arc<Self> {
        let place = Place::Folder(scratch());
        Arc::new(Self { place })
    }

    /// In a folder; in MongoDB if the embedded store is not built in.
    pub async fn alone() -> Arc<Self> {
        match cfg!(feature = "embedded") {
            true => Self::folder(),
            false => Self::shared().await,
        }
    }

    /// A new one of the same kind.
    pub async fn another(&self) -> Arc<Self> {
        match self.is_folder() {
            true => Self::folder(),
            false => Self::shared().await,
        }
    }

    /// What a command line says to mean this one.
    pub fn arguments(&self) -> Vec<String> {
        let words = match &self.place {
            Place::Mongo { uri, name } => vec!["--mongodb", uri, "--database", name],
            Place::Folder(folder) => vec!["--data", text(folder.path())],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether it is the embedded store's.
    pub fn is_folder(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// The folder, for what happens behind the server's back.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => folder.path(),
            Place::Mongo { name, .. } => panic!("{name} is in MongoDB"),
        }
    }

    /// The driver, for what happens behind the server's back.
    pub async fn driver(&self) -> mongodb::Database {
        let Place::Mongo { uri, name } = &self.place else {
            panic!("{} has no driver", self.path().display());
        };
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        client.database(name)
    }

    /// Its store, opened as a node would.
    pub async fn store(&self) -> Arc<dyn Store> {
        let options = match &self.place {
            Place::Mongo { uri, name } => {
                let options = MongoOptions {
                    uri: uri.clone(),
                    database: Some(name.clone()),
                };
                StoreOptions::Mongo(options)
            }
            Place::Folder(folder) => {
                let dir = folder.path().to_owned();
                StoreOptions::Embedded(EmbeddedOptions { dir })
            }
        };
        store::open(&options).await.unwrap()
    }

    /// What `--into` calls it.
    pub fn name(&self) -> &str {
        match &self.place {
            Place::Mongo { name, .. } => name,
            Place::Folder(folder) => text(folder.path()),
        }
    }

    /// Runs a `livelog` command on it, with its words, and waits for its end: (exit status, stdout and stderr).
    pub async fn livelog(&self, words: &str) -> (Option<i32>, String) {
        let output = self.run(words, usual_input(words)).await;
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// The same, with `input` for its stdin.
    pub async fn run(&self, words: &str, input: Stdio) -> Output {
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        arguments.extend(self.arguments());
        let mut command = command();
        command.args(arguments).stdin(input);
        output(command).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Place::Mongo { uri, name } = &self.place else {
            return;
        };
        // Our own MongoDB goes as a whole; in another's we clean up, best effort.
        if mongod::given().as_deref() != Some(uri) {
            return;
        }
        let (uri, name) = (uri.clone(), name.clone());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(uri).await?;
                client.database(&name).drop().await
            })
        });
        drop(cleaning.join());
    }
}

/// A folder that goes with its owner.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("livelog-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

/// For tests that are about something else, a log for who imports, and nothing for others.
fn usual_input(words: &str) -> Stdio {
    match words.starts_with("import") {
        true => stdin(include_bytes!("../../fixtures/export/log.ndjson")),
        false => Stdio::null(),
    }
}

/// These bytes as the stdin of a process.
pub fn stdin(bytes: &[u8]) -> Stdio {
    let folder = scratch();
    let path = folder.path().join("stdin");
    std::fs::write(&path, bytes).unwrap();
    // Open, it outlives its name.
    File::open(path).unwrap().into()
}

/// The real `livelog`, free of what the environment says.
pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    for name in [
        "LIVELOG_LISTEN",
        "LIVELOG_LOG",
        "LIVELOG_DATA",
        "LIVELOG_DATABASE",
        "MONGODB_URI",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub async fn output(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::timeout(DEADLINE * 2, run)
        .await
        .expect("livelog to end")
        .unwrap()
}

/// Runs `livelog` with these arguments to its end.
pub async fn livelog(arguments: &[&str]) -> Output {
    let mut command = command();
    let input = usual_input(arguments.first().unwrap_or(&""));
    command.args(arguments).stdin(input);
    output(command).await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
