//! The keys of issuers that publish them: fetched, kept, and fetched again before they are old.
//!
//! Each address has a task of its own, so that an issuer that is down or slow delays no other. Keys that were good once
//! stay until others can be had: who took an issuer off the network must not have logged everybody out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::fetch::{FetchError, FetchedSet, KeyFetcher};
use crate::domain::Timestamp;
use crate::identity::{Identity, Issuers, KeyAddress, TokenError, TrustedKeys, UnprovenToken};
use crate::limits;
use crate::telemetry::Throttle;

/// How often keys are fetched, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub struct FetchPace {
    /// For one fetch.
    pub fetch_deadline: Duration,
    /// How long a token waits for one.
    pub wait_deadline: Duration,
    /// Between two fetches at most.
    pub refresh: Duration,
    /// Between two fetches at least, whatever tokens name.
    pub refetch: Duration,
    /// After the first failure.
    pub retry: Duration,
}

impl Default for FetchPace {
    fn default() -> Self {
        Self {
            fetch_deadline: limits::JWKS_FETCH_DEADLINE,
            wait_deadline: limits::JWKS_WAIT_DEADLINE,
            refresh: limits::JWKS_REFRESH_INTERVAL,
            refetch: limits::JWKS_REFETCH_INTERVAL,
            retry: limits::JWKS_RETRY_INTERVAL,
        }
    }
}

/// The keys of all issuers that publish theirs.
pub struct KeyServers {
    fetcher: KeyFetcher,
    pace: FetchPace,
    servers: Mutex<HashMap<KeyAddress, KeyServer>>,
    failures: Arc<AtomicU64>,
}

impl KeyServers {
    /// Keys that this one fetches.
    pub fn new(fetcher: KeyFetcher, pace: FetchPace) -> Self {
        Self {
            fetcher,
            pace,
            servers: Mutex::default(),
            failures: Arc::default(),
        }
    }

    /// Follows the issuers whose keys must be fetched, and no others: what is known of those that stay is kept.
    pub fn follow(&self, issuers: &Issuers) {
        let mut servers = self.servers();
        let mut known = std::mem::take(&mut *servers);
        for address in issuers.key_addresses() {
            // Issuers of one name may have one address.
            let server = servers.remove(address).or_else(|| known.remove(address));
            let server = server.unwrap_or_else(|| self.start(address));
            servers.insert(address.clone(), server);
        }
    }

    /// Who a token says that its bearer is, if it is good. A token that newer keys could make good waits for a fetch, if
    /// one is under way or allowed.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn verify(
        &self,
        issuers: &Issuers,
        token: &str,
        now: Timestamp,
    ) -> Result<Identity, TokenError> {
        let token = UnprovenToken::read(token)?;
        let check = || issuers.check(&token, now, |address| self.keys_at(address));
        let checked = check();
        if !matches!(&checked, Err(error) if error.wants_newer_keys()) {
            return checked;
        }
        let deadline = Instant::now() + self.pace.wait_deadline;
        for address in issuers.addresses_for(&token) {
            let news = self.servers().get(address).and_then(KeyServer::news);
            let Some(news) = news else { continue };
            let remaining = deadline.saturating_duration_since(Instant::now());
            let is_fetched = timeout(remaining, news).await;
            let checked = check();
            if is_fetched.is_err() || checked.is_ok() {
                return checked;
            }
        }
        check()
    }

    /// Fetches that failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn start(&self, address: &KeyAddress) -> KeyServer {
        let (state, states) = watch::channel(ServerState::default());
        let wanted = Arc::new(Notify::new());
        let follower = KeyFollower {
            address: address.clone(),
            fetcher: self.fetcher.clone(),
            pace: self.pace,
            state,
            wanted: Arc::clone(&wanted),
            failures: Arc::clone(&self.failures),
            throttle: Throttle::new(),
        };
        KeyServer {
            states,
            wanted,
            _task: AbortOnDropHandle::new(tokio::spawn(follower.run())),
        }
    }

    fn keys_at(&self, address: &KeyAddress) -> Option<Arc<TrustedKeys>> {
        let keys = |server: &KeyServer| server.states.borrow().keys.clone();
        self.servers().get(address).and_then(keys)
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, HashMap<KeyAddress, KeyServer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the keys at one address.
struct ServerState {
    keys: Option<Arc<TrustedKeys>>,
    /// Fetches that have ended, well or not.
    ended: u64,
    is_fetching: bool,
    /// When the next one may begin because a token names an unknown key.
    next: Instant,
}

impl Default for ServerState {
    fn default() -> Self {
        Self {
            keys: None,
            ended: 0,
            // The first begins with the task.
            is_fetching: true,
            next: Instant::now(),
        }
    }
}

/// One address that is followed.
struct KeyServer {
    states: watch::Receiver<ServerState>,
    wanted: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl KeyServer {
    /// Asks for newer keys, and waits until they were fetched, or could not be; `None` if the last fetch was just now.
    fn news(&self) -> Option<impl Future<Output = ()> + use<>> {
        let mut states = self.states.clone();
        let (ended, is_near) = {
            let state = states.borrow();
            (
                state.ended,
                state.is_fetching || state.next <= Instant::now(),
            )
        };
        self.wanted.notify_one();
        is_near.then_some(async move {
            // The task is gone if the address is followed no longer.
            let _ = states.wait_for(|state| state.ended > ended).await;
        })
    }
}

/// The task behind a [`KeyServer`].
struct KeyFollower {
    address: KeyAddress,
    fetcher: KeyFetcher,
    pace: FetchPace,
    state: watch::Sender<ServerState>,
    wanted: Arc<Notify>,
    failures: Arc<AtomicU64>,
    throttle: Throttle,
}

impl KeyFollower {
    async fn run(self) {
        let mut retry = self.pace.retry;
        loop {
            let began = Instant::now();
            self.state.send_modify(|state| state.is_fetching = true);
            let fetched = self.fetch().await;
            let again = match &fetched {
                Ok((_, max_age)) => self.refresh_after(*max_age),
                Err(_) => retry,
            };
            retry = match &fetched {
                Ok(_) => self.pace.retry,
                Err(_) => self.pace.refetch.min(2 * retry),
            };
            let next = began + self.pace.refetch;
            self.conclude(fetched, next);
            let wanted = async {
                sleep_until(next).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = sleep_until(Instant::now() + again) => {}
                () = wanted => {}
            }
        }
    }

    async fn fetch(&self) -> Result<(TrustedKeys, Option<Duration>), FetchError> {
        let (url, deadline) = (&self.address.url, self.pace.fetch_deadline);
        let FetchedSet { text, max_age } = self.fetcher.fetch(url, deadline).await?;
        let keys = TrustedKeys::parse_jwks(&text, self.address.algorithms);
        Ok((keys.map_err(FetchError::Keys)?, max_age))
    }

    /// When the keys are fetched again: when their server says that they are old, within bounds.
    fn refresh_after(&self, max_age: Option<Duration>) -> Duration {
        let age = max_age.unwrap_or(self.pace.refresh);
        age.max(self.pace.refetch).min(self.pace.refresh)
    }

    fn conclude(
        &self,
        fetched: Result<(TrustedKeys, Option<Duration>), FetchError>,
        next: Instant,
    ) {
        let keys = match fetched {
            Ok((keys, _)) => {
                tracing::debug!(url = %self.address.url, keys = keys.count(), "fetched the keys of an issuer");
                Some(Arc::new(keys))
            }
            Err(error) => {
                self.report(&error);
                None
            }
        };
        self.state.send_modify(|state| {
            state.keys = keys.or_else(|| state.keys.take());
            state.ended += 1;
            state.is_fetching = false;
            state.next = next;
        });
    }

    fn report(&self, error: &FetchError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let has_keys = self.state.borrow().keys.is_some();
        let url = &self.address.url;
        self.throttle.log(|suppressed| match has_keys {
            true => tracing::warn!(%url, %error, suppressed, "cannot fetch the keys of an issuer; the last ones stay"),
            false => tracing::warn!(%url, %error, suppressed, "cannot fetch the keys of an issuer; its tokens are refused"),
        });
    }
}
