//! The composition root: opens the store, starts the node, and serves connections.
//!
//! [`Server::bind`] opens the store, starts the node and binds the address; [`Server::run`] serves
//! until it is told to stop. Tests call the same two.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::{AccessFollower, Guard};
use crate::indexes::Index;
use crate::limits;
use crate::node::{Node, NodeFailed, Supervisor};
use crate::quota::{Lobby, Quotas};
use crate::store;
use crate::store::{Store, StoreOptions};
use crate::telemetry::Throttle;
use crate::transport;
use crate::transport::{
    AccessPolicy, App, ConnectionPermit, Handshakes, TlsFiles, TlsIdentity, TrustedProxies,
};

/// What `livelog serve` needs.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate and key with which it speaks TLS, if it does.
    pub tls: Option<TlsFiles>,
    /// The store.
    pub store: StoreOptions,
    /// The indexes that the store keeps.
    pub indexes: Vec<Index>,
    /// The access file, if anybody guards.
    pub access_file: Option<PathBuf>,
    /// Hosts and origins that may ask, beside the server's own pages and programs on its own names.
    pub access: AccessPolicy,
    /// Proxies whose word is taken for where a request comes from.
    pub proxies: TrustedProxies,
    /// Whether the console is served, at `/`.
    pub has_console: bool,
    /// Whether clients may speak Socket.IO, if that is built in.
    pub has_socketio: bool,
    /// Bytes of recent changes kept in memory for sessions.
    pub window_bytes: usize,
}

/// A node that holds its address and is ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<TlsIdentity>>,
    store: Arc<dyn Store>,
    app: App,
    access_follower: Option<AccessFollower>,
    supervisor: Supervisor,
}

/// After a failed accept (no file descriptors, say): trying again at once would only burn the processor.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections that the kernel holds until they are accepted: a burst of sessions that come back.
const BACKLOG: u32 = 1024;

impl Server {
    /// Opens the store and binds the address.
    ///
    /// # Errors
    /// If there is no certificate where there should be one, the access file is no good, the store cannot be opened, or the address is taken.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let tls = load_tls(config.tls.clone())?;
        let guard = load_guard(config.access_file.as_deref())?;
        let store = store::open(&config.store).await?;
        Self::start(store, tls, guard, config).await
    }

    /// The same on a store that is open already; the one in the configuration is ignored.
    ///
    /// # Errors
    /// If there is no certificate where there should be one, the access file is no good, the store cannot be reached, or the address is taken.
    pub async fn bind_on(store: Arc<dyn Store>, config: Config) -> anyhow::Result<Self> {
        let tls = load_tls(config.tls.clone())?;
        let guard = load_guard(config.access_file.as_deref())?;
        Self::start(store, tls, guard, config).await
    }

    async fn start(
        store: Arc<dyn Store>,
        tls: Option<Arc<TlsIdentity>>,
        (guard, access_follower): (Guard, Option<AccessFollower>),
        config: Config,
    ) -> anyhow::Result<Self> {
        store.declare_indexes(&config.indexes).await?;
        let (node, supervisor) = Node::start(Arc::clone(&store), config.window_bytes).await?;
        let listener = bind_listener(config.listen)
            .map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", config.listen))?;
        let app = App {
            node,
            access: Arc::new(config.access),
            guard,
            proxies: Arc::new(config.proxies),
            quotas: Quotas::default(),
            lobby: Lobby::default(),
            has_tls: tls.is_some(),
            has_console: config.has_console,
            has_socketio: config.has_socketio,
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Ok(Self {
            listener,
            tls,
            store,
            app,
            access_follower,
            supervisor,
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// By which it is asked: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Serves until `shutdown` is done; then stops accepting, answers what is in flight, closes
    /// sessions with a code that says "reconnect", and closes the store. That takes at most
    /// [`limits::SHUTDOWN_DEADLINE`].
    ///
    /// # Errors
    /// If the node has failed. Its sessions were closed at once, its health said why for
    /// [`limits::FAILED_GRACE`], and then it stopped as in any shutdown.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), NodeFailed> {
        let Self {
            listener,
            tls,
            store,
            app,
            access_follower,
            mut supervisor,
        } = self;
        let (connections, closing) = (app.connections.clone(), app.closing.clone());
        let draining = CancellationToken::new();
        let outcome = {
            tokio::pin!(shutdown);
            if let Some(tls) = tls.clone() {
                let closing = closing.clone();
                connections.spawn(async move {
                    closing.run_until_cancelled(tls.follow_files()).await;
                });
            }
            if let Some(follower) = access_follower {
                let closing = closing.clone();
                connections.spawn(async move {
                    closing.run_until_cancelled(follower.run()).await;
                });
            }
            let accepting = accept(&listener, tls, app, &draining);
            tokio::pin!(accepting);
            tokio::select! {
                never = &mut accepting => match never {},
                () = &mut shutdown => Ok(()),
                failed = supervisor.failed() => {
                    closing.cancel();
                    tokio::select! {
                        never = &mut accepting => match never {},
                        () = &mut shutdown => {}
                        () = tokio::time::sleep(limits::FAILED_GRACE) => {}
                    }
                    Err(failed)
                }
            }
        };
        drop(listener);
        closing.cancel();
        draining.cancel();
        connections.close();
        let answering = async {
            connections.wait().await;
            supervisor.finish().await;
        };
        // What a failed node has not answered by now waits for the part that failed.
        let deadline = match outcome {
            Ok(()) => ANSWERING_DEADLINE,
            Err(_) => limits::FAILED_GRACE,
        };
        warn_if_late(deadline, answering).await;
        // Even after that deadline, so that no write of the store is cut off.
        warn_if_late(limits::STORE_CLOSE_DEADLINE, store.close()).await;
        outcome
    }
}

fn load_tls(files: Option<TlsFiles>) -> anyhow::Result<Option<Arc<TlsIdentity>>> {
    let identity = files.map(TlsIdentity::load).transpose();
    let identity = identity.map_err(|reason| anyhow::anyhow!("cannot speak TLS: {reason}"))?;
    Ok(identity.map(Arc::new))
}

fn load_guard(access_file: Option<&Path>) -> anyhow::Result<(Guard, Option<AccessFollower>)> {
    let Some(path) = access_file else {
        return Ok((Guard::none(), None));
    };
    let loaded = Guard::load(path);
    let (guard, follower) =
        loaded.map_err(|reason| anyhow::anyhow!("the access file is no good: {reason}"))?;
    Ok((guard, Some(follower)))
}

/// Binds the address; every connection inherits the socket's options.
fn bind_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(limits::KERNEL_SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How long a shutdown waits for answers.
const ANSWERING_DEADLINE: Duration =
    limits::SHUTDOWN_DEADLINE.saturating_sub(limits::STORE_CLOSE_DEADLINE);

async fn warn_if_late(deadline: Duration, work: impl Future<Output = ()>) {
    if tokio::time::timeout(deadline, work).await.is_err() {
        tracing::warn!("stopped before everything was answered");
    }
}

/// Accepts connections for as long as it is polled. They end when `draining` is cancelled.
async fn accept(
    listener: &TcpListener,
    tls: Option<Arc<TlsIdentity>>,
    app: App,
    draining: &CancellationToken,
) -> Infallible {
    let handshakes = tls.map(|identity| Arc::new(Handshakes::new(identity)));
    let connections = app.connections.clone();
    let node = app.node.clone();
    let gate = transport::gate(app);
    let permits = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let accept_throttle = Throttle::default();
    loop {
        match listener.accept().await {
            // Beyond the bound a connection is dropped at once: an answer would cost the memory that is short.
            Ok((stream, _)) => {
                if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                    connections.spawn(transport::serve(
                        stream,
                        handshakes.clone(),
                        gate.clone(),
                        node.clone(),
                        ConnectionPermit::new(permit),
                        draining.clone(),
                    ));
                }
            }
            Err(error) => {
                accept_throttle.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "cannot accept a connection");
                });
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}
