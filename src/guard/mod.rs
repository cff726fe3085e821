//! Who may come in: the IO of access. The access file is read, and read again when it changes; keys of issuers that publish
//! theirs are fetched; and who shows credentials is told what they may do.
//!
//! - [`Guard`] admits: credentials in, an [`Admission`] or a [`AdmissionError`] out. Who a token is about says
//!   [`identity`](crate::identity), and what they may do says [`access`](crate::access).
//! - [`Admission`] tells when it has ended, or is another: a token expires, a key is revoked, a rule is changed.
//! - `access_file` is the file with what it names, `check` what people ask of one, `fetch` and `jwks` are
//!   the keys that are fetched, and `recent` is what credentials came to lately.
//!
//! It fails closed: an access file that is no good lets no server start, and changes nothing on one that runs.

mod access_file;
mod admission;
mod admission_error;
mod check;
mod fetch;
mod jwks;
mod recent;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use access_file::{AccessFile, Sources};
pub use admission::Admission;
use admission::Basis;
pub use admission_error::AdmissionError;
use admission_error::AdmissionErrorKind;
pub use check::{CheckArguments, check};
pub use fetch::KeyFetcher;
pub use jwks::{FetchPace, KeyServers};
use recent::RecentAdmission;

use crate::access::{Claims, Principal};
use crate::domain::{Author, Timestamp};
use crate::identity::{ApiKeys, Identity, IdentityKind};
use crate::protocol::Credentials;
use crate::settling::settled_change;
use crate::telemetry::Throttle;
use crate::wall_clock;

/// Who may come in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guard(Option<Arc<Rules>>);

/// The access file as it is now, and what it takes to go by it.
struct Rules {
    path: PathBuf,
    files: watch::Sender<Arc<AccessFile>>,
    key_servers: KeyServers,
    /// For each kind of refusal, so that none hides another.
    throttles: Mutex<HashMap<AdmissionErrorKind, Arc<Throttle>>>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = formatter.debug_struct("Rules");
        rules.field("path", &self.path).finish_non_exhaustive()
    }
}

/// What follows the access file's changes.
#[derive(Debug)]
pub struct AccessFollower {
    rules: Arc<Rules>,
    sources: Sources,
}

impl Guard {
    /// None: everybody may do everything.
    pub fn none() -> Self {
        Self(None)
    }

    /// One that goes by an access file, as it is now and, as long as the follower runs, as it will be. Keys are fetched in
    /// tasks, so this is called inside of a runtime.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path) -> Result<(Self, AccessFollower), String> {
        let (sources, file) = AccessFile::read(path);
        let file = file?;
        let key_servers = KeyServers::new(KeyFetcher::new(), FetchPace::default());
        key_servers.follow(&file.issuers);
        let rules = Arc::new(Rules {
            path: path.to_owned(),
            files: watch::Sender::new(Arc::new(file)),
            key_servers,
            throttles: Mutex::default(),
        });
        let follower = AccessFollower {
            rules: Arc::clone(&rules),
            sources,
        };
        Ok((Self(Some(rules)), follower))
    }

    /// Whether credentials mean anything.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether who shows nothing may come in.
    pub fn admits_anybody(&self) -> bool {
        let anonymous = |rules: &Arc<Rules>| rules.files.borrow().policy.anonymous_role().is_some();
        self.0.as_ref().is_none_or(anonymous)
    }

    /// What somebody may do who shows these credentials.
    ///
    /// # Errors
    /// Why they may not come in. The operator's log says it too.
    pub async fn admit(&self, credentials: Credentials) -> Result<Admission, AdmissionError> {
        let Some(rules) = &self.0 else {
            return Ok(Admission::unguarded());
        };
        let admitted = rules.admit(credentials).await;
        admitted.inspect_err(|refusal| {
            rules.throttle(refusal).log(|suppressed| {
                tracing::warn!(suppressed, "turned somebody away: {refusal}");
            });
        })
    }
}

impl Rules {
    fn throttle(&self, refusal: &AdmissionError) -> Arc<Throttle> {
        let throttles = self.throttles.lock();
        // A map is whole after a panic elsewhere.
        let mut throttles = throttles.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(throttles.entry(refusal.kind()).or_default())
    }

    async fn admit(
        self: &Arc<Self>,
        credentials: Credentials,
    ) -> Result<Admission, AdmissionError> {
        let mut files = self.files.subscribe();
        let file = Arc::clone(&files.borrow_and_update());
        let RecentAdmission {
            principal,
            grant,
            expires_at,
            ..
        } = self.decide(&file, &credentials).await?;
        let basis = Basis::new(self, files, credentials, principal, expires_at);
        Ok(Admission::new(grant, basis))
    }

    async fn decide(
        &self,
        file: &AccessFile,
        credentials: &Credentials,
    ) -> Result<RecentAdmission, AdmissionError> {
        let digest = recent::digest(credentials);
        let found = digest.and_then(|digest| file.recent.find(&digest, wall_clock::now()));
        if let Some(found) = found {
            return Ok(found);
        }
        let (principal, expires_at) = self.identify(file, credentials).await?;
        let grant = file.policy.admit(&principal, credentials.role.as_deref())?;
        let decided = RecentAdmission::new(principal, grant, expires_at);
        if let Some(digest) = digest {
            file.recent.add(digest, decided.clone());
        }
        Ok(decided)
    }

    /// Who somebody is, and until when that is sure.
    async fn identify(
        &self,
        file: &AccessFile,
        credentials: &Credentials,
    ) -> Result<(Arc<Principal>, Option<Timestamp>), AdmissionError> {
        let identity = match credentials.token.as_deref() {
            None => Identity::anonymous(),
            Some(key) if ApiKeys::is_key(key) => {
                file.keys.verify(key).ok_or(AdmissionError::UnknownKey)?
            }
            Some(token) => {
                let now = wall_clock::now();
                self.key_servers.verify(&file.issuers, token, now).await?
            }
        };
        let expires_at = identity.expires_at;
        Ok((Arc::new(principal(identity)?), expires_at))
    }
}

fn principal(identity: Identity) -> Result<Principal, AdmissionError> {
    let parts = [&identity.issuer, &identity.subject];
    if parts.iter().any(|part| part.len() > Author::PART_BYTES_MAX) {
        return Err(AdmissionError::LongName);
    }
    let author = match identity.kind {
        IdentityKind::Anonymous => None,
        IdentityKind::Key => Some(Author::Key {
            id: identity.subject,
        }),
        IdentityKind::Token => Some(Author::Token {
            issuer: identity.issuer,
            subject: identity.subject,
        }),
    };
    Ok(Principal {
        author: author.map(Arc::new),
        role: identity.role,
        claims: Claims::new(identity.claims),
        issued_at: identity.issued_at,
    })
}

impl AccessFollower {
    /// Looks at the files for as long as it is polled, and goes by what is new in them. Files that are no good leave
    /// everything as it is, and are told of once.
    pub async fn run(mut self) -> Infallible {
        loop {
            settled_change(&self.sources.digest(), || self.look()).await;
            self.take().await;
        }
    }

    async fn look(&self) -> access_file::SourcesDigest {
        let sources = self.sources.clone();
        let looked = spawn_blocking(move || sources.look()).await;
        looked.expect("looking at files does not panic")
    }

    async fn take(&mut self) {
        let path = self.rules.path.clone();
        let read = spawn_blocking(move || AccessFile::read(&path)).await;
        let (sources, file) = read.expect("parsing does not panic, whatever it reads");
        self.sources = sources;
        let path = self.rules.path.display();
        match file {
            Ok(file) => {
                self.rules.key_servers.follow(&file.issuers);
                self.rules.files.send_replace(Arc::new(file));
                tracing::info!("going by the access file {path} as it is now");
            }
            Err(reason) => tracing::warn!(
                "the access file was changed and is no good; the rules before stay: {reason}"
            ),
        }
    }
}
