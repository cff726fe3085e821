//! Somebody who got in: what they may do, as long as their credentials and the rules last.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use super::access_file::AccessFile;
use super::{AdmissionError, Guard, Rules};
use crate::access::{Grant, Principal};
use crate::domain::Timestamp;
use crate::limits;
use crate::protocol::{Authenticated, Credentials};

/// What somebody may do, and on what that rests.
#[derive(Debug)]
pub struct Admission {
    grant: Grant,
    /// `None` where nobody guards.
    basis: Option<Box<Basis>>,
}

/// On what an admission rests.
#[derive(Debug)]
pub(super) struct Basis {
    rules: Arc<Rules>,
    /// Shown again when the access file is another: a key that it no longer has, or an issuer, lets nobody in.
    credentials: Credentials,
    principal: Arc<Principal>,
    expires_at: Option<Timestamp>,
    /// Until then, once it is waited for: most requests are over long before.
    end: Option<Pin<Box<Sleep>>>,
    files: watch::Receiver<Arc<AccessFile>>,
    /// Whether the access file is another than the grant was made by.
    is_outdated: bool,
}

impl Admission {
    /// Of anybody, where nobody guards.
    pub(super) fn unguarded() -> Self {
        Self {
            grant: Grant::open(),
            basis: None,
        }
    }

    pub(super) fn new(grant: Grant, basis: Basis) -> Self {
        Self {
            grant,
            basis: Some(Box::new(basis)),
        }
    }

    /// What may be done.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// When the credentials expire, if they do. Some time later, [`changed`](Self::changed) ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.basis.as_ref()?.expires_at
    }

    /// Who checks other credentials.
    pub fn guard(&self) -> Guard {
        Guard(self.basis.as_ref().map(|basis| Arc::clone(&basis.rules)))
    }

    /// Whether somebody else's credentials may take the place of these: they must be the same person's, unless these are
    /// nobody's.
    pub fn may_become(&self, other: &Self) -> bool {
        let mine = self.grant.author();
        mine.is_none() || mine == other.grant.author()
    }

    /// Who got in, as they are told.
    pub fn shown(&self) -> Authenticated<'_> {
        let is_guarded = self.basis.is_some();
        Authenticated {
            role: is_guarded.then(|| self.grant.role()),
            author: self.grant.author().map(AsRef::as_ref),
            expires_at: self.expires_at(),
        }
    }

    /// Waits until what it rests on is another, and takes that in: then the grant may be another. Safe to drop and call
    /// again.
    ///
    /// # Errors
    /// If it has ended: the credentials have expired, or are taken no longer.
    pub async fn changed(&mut self) -> Result<(), AdmissionError> {
        let Some(basis) = &mut self.basis else {
            return pending().await;
        };
        if !basis.is_outdated {
            tokio::select! {
                () = expiry(&mut basis.end, basis.expires_at) => return Err(AdmissionError::Expired),
                changed = basis.files.changed() => {
                    changed.expect("the rules outlive who was let in by them");
                    basis.is_outdated = true;
                }
            }
        }
        self.grant = basis.admit_again().await?;
        basis.is_outdated = false;
        Ok(())
    }
}

impl Basis {
    /// `files` has seen the access file that the admission was decided by.
    pub(super) fn new(
        rules: &Arc<Rules>,
        files: watch::Receiver<Arc<AccessFile>>,
        credentials: Credentials,
        principal: Arc<Principal>,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            rules: Arc::clone(rules),
            end: None,
            files,
            credentials,
            principal,
            expires_at,
            is_outdated: false,
        }
    }

    async fn admit_again(&mut self) -> Result<Grant, AdmissionError> {
        let file = Arc::clone(&self.files.borrow_and_update());
        match self.rules.identify(&file, &self.credentials).await {
            Ok((principal, _)) => self.principal = principal,
            // They were good before, and the rules that hold now are known all the same.
            Err(refusal) if refusal.is_temporary() => {}
            Err(refusal) => return Err(refusal),
        }
        let role = self.credentials.role.as_deref();
        Ok(file.policy.admit(&self.principal, role)?)
    }
}

/// Waits until the time is over, by the wall clock; for ever if there is none.
async fn expiry(end: &mut Option<Pin<Box<Sleep>>>, expires_at: Option<Timestamp>) {
    let Some(at) = expires_at else {
        return pending().await;
    };
    let end = end.get_or_insert_with(|| Box::pin(sleep(until(at))));
    loop {
        end.as_mut().await;
        // The clock may have been set back meanwhile.
        match until(at) {
            Duration::ZERO => return,
            rest => end.set(sleep(rest)),
        }
    }
}

/// How long a token is still taken.
fn until(expires_at: Timestamp) -> Duration {
    let at = DateTime::parse_from_rfc3339(expires_at.as_str()).expect("a timestamp is RFC 3339");
    let left = at.to_utc() + limits::CLOCK_LEEWAY - Utc::now();
    left.to_std().unwrap_or_default()
}
