//! The composition root: the one place where the parts meet.
//!
//! [`Server::bind`] opens the store, starts the node and takes the address; [`Server::run`] serves
//! until it is told to stop. Tests call the same two.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::limits;
use crate::service::Service;
use crate::store::{self, Store};
use crate::transport::{self, App, Seat};

/// A node that holds its address and is ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    store: Arc<dyn Store>,
    app: App,
    /// The writer's tasks: they end when what was submitted is answered.
    writers: TaskTracker,
}

/// After a failed accept (no file descriptors, say): trying again at once would only burn the processor.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

impl Server {
    /// Opens the store and takes the address.
    ///
    /// # Errors
    /// If the store cannot be opened, or the address is taken.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let store = store::open(&config.store).await?;
        let writers = TaskTracker::new();
        let service = Service::start(Arc::clone(&store), &writers, config.window_bytes).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", config.listen))?;
        let app = App {
            service,
            guests: Arc::new(config.guests),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Ok(Self {
            listener,
            store,
            app,
            writers,
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is done; then stops accepting, answers what is in flight, closes
    /// sessions with a code that says "reconnect", and lets go of the store. That takes at most
    /// [`limits::SHUTDOWN_DEADLINE`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            listener,
            store,
            app,
            writers,
        } = self;
        let (connections, closing) = (app.connections.clone(), app.closing.clone());
        accept(&listener, app, shutdown).await;
        drop(listener);
        closing.cancel();
        connections.close();
        writers.close();
        let drain = async {
            connections.wait().await;
            writers.wait().await;
            store.close().await;
        };
        if tokio::time::timeout(limits::SHUTDOWN_DEADLINE, drain)
            .await
            .is_err()
        {
            tracing::warn!("stopped before everything was answered");
        }
    }
}

async fn accept(listener: &TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let (connections, closing) = (app.connections.clone(), app.closing.clone());
    let gate = transport::gate(app);
    let seats = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Beyond the bound a connection is dropped at once: an answer would cost what is short.
            Ok((stream, _)) => {
                if let Ok(permit) = Arc::clone(&seats).try_acquire_owned() {
                    connections.spawn(transport::serve(
                        stream,
                        gate.clone(),
                        Seat::new(permit),
                        closing.clone(),
                    ));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}
