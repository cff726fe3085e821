//! What credentials came to lately: a client that asks by HTTP shows them with every request, and a signature takes longer
//! to verify than most requests to answer. It belongs to the access file that decided it, and ends with that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::access::{Grant, Principal};
use crate::domain::Timestamp;
use crate::limits;
use crate::protocol::Credentials;

/// How long it is remembered that a token was good: a key that its issuer gave up is trusted so much longer.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What was let in lately.
#[derive(Debug, Default)]
pub(super) struct RecentAdmissions(Mutex<HashMap<CredentialsDigest, RecentAdmission>>);

/// By which credentials are found: they themselves are not kept.
pub(super) type CredentialsDigest = [u8; 32];

#[derive(Debug, Clone)]
pub(super) struct RecentAdmission {
    pub(super) principal: Arc<Principal>,
    pub(super) grant: Grant,
    pub(super) expires_at: Option<Timestamp>,
    at: Instant,
}

impl RecentAdmission {
    pub(super) fn new(
        principal: Arc<Principal>,
        grant: Grant,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            principal,
            grant,
            expires_at,
            at: Instant::now(),
        }
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.at.elapsed() < REMEMBERED && self.expires_at.is_none_or(|at| now < at)
    }
}

impl RecentAdmissions {
    /// What these credentials came to, if that still holds.
    pub(super) fn find(
        &self,
        digest: &CredentialsDigest,
        now: Timestamp,
    ) -> Option<RecentAdmission> {
        let recent = self.lock();
        let found = recent.get(digest)?;
        found.holds(now).then(|| found.clone())
    }

    pub(super) fn add(&self, digest: CredentialsDigest, admission: RecentAdmission) {
        let mut recent = self.lock();
        if recent.len() >= limits::RECENT_ADMISSIONS_MAX {
            recent.clear();
        }
        recent.insert(digest, admission);
    }

    /// A map is whole after a panic elsewhere: nothing is done with it in steps.
    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialsDigest, RecentAdmission>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of credentials, if a token is among them.
pub(super) fn digest(credentials: &Credentials) -> Option<CredentialsDigest> {
    let token = credentials.token.as_deref()?;
    let mut digest = Sha256::new();
    digest.update((token.len() as u64).to_le_bytes());
    digest.update(token);
    if let Some(role) = &credentials.role {
        digest.update([1]);
        digest.update(&**role);
    }
    Some(digest.finalize().into())
}
