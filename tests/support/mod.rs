//! What the tests stand on: a real MongoDB, real server processes, real sockets.
//!
//! Every wait has a deadline and ends the moment what it waits for is there: no test sleeps for luck.

pub mod by_hand;
pub mod client;
pub mod database;
pub mod dice;
pub mod faulty;
pub mod guarded;
pub mod history;
pub mod load;
pub mod mongod;
pub mod npm;
pub mod peer;
pub mod process;
pub mod raw;
pub mod server;
pub mod sse;
pub mod subscriber;
pub mod tls;

pub use client::Client;
pub use database::Database;
pub use load::Load;
pub use mongod::Mongod;
pub use server::Server;
pub use subscriber::Subscriber;

use std::time::Duration;

use livelog::store::Store;

/// Makes two tests of each function: one hands it a server on an empty MongoDB database, the other one on
/// an empty folder.
#[allow(unused_macros, reason = "some binaries test no store")]
macro_rules! on_every_store {
    ($($fact:ident),* $(,)?) => {
        #[cfg(feature = "mongodb")]
        mod on_mongodb {
            $(
                #[tokio::test]
                async fn $fact() {
                    super::$fact($crate::support::Server::start().await).await;
                }
            )*
        }

        #[cfg(feature = "embedded")]
        mod on_embedded {
            $(
                #[tokio::test]
                async fn $fact() {
                    super::$fact($crate::support::Server::in_folder().await).await;
                }
            )*
        }
    };
}

pub(crate) use on_every_store;

/// How long a test waits for anything that should happen at once. Long enough for a busy machine; a test
/// that passes never waits this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `check` gives something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(
            started.elapsed() < DEADLINE,
            "waited {DEADLINE:?} until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until all indexes that a store keeps are whole: a moment, where it has few events.
pub async fn until_built(store: &dyn Store) {
    let building = async {
        while store.indexes().iter().any(|index| !index.is_whole) {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    let built = tokio::time::timeout(DEADLINE, building).await;
    built.unwrap_or_else(|_| panic!("not built: {:?}", store.indexes()));
}
