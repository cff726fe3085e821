//! Who may ask: the hosts and origins that the operator lets in, and what the log says of those that are turned away.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::host::{Authority, Hosts};
use super::origin::{Origin, Origins, Visitor};
use crate::limits;
use crate::protocol::{Code, Failure};

/// Who is let in.
#[derive(Debug, Default)]
pub struct Guests {
    hosts: Hosts,
    origins: Origins,
    told: Mutex<Told>,
}

/// When the log last said that someone was turned away, and how many were since.
#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    since: u64,
}

impl Guests {
    /// Lets in these beside the server's own pages.
    pub fn new(hosts: Hosts, origins: Origins) -> Self {
        Self {
            hosts,
            origins,
            told: Mutex::default(),
        }
    }

    pub(super) fn admit_host(&self, asked: Option<&Authority>) -> Result<(), Failure> {
        match asked {
            Some(asked) if !self.hosts.admit(asked) => {
                let host = &asked.host;
                let flag = format!("--allow-host {host}");
                self.tell(&format!("a request to the host {host}"), &flag);
                let message =
                    format!("this server does not know itself as {host}; see --allow-host");
                Err(Failure::new(Code::ForbiddenHost, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn admit_origin(
        &self,
        origin: Option<&Origin>,
        text: &str,
        own: Option<&Authority>,
    ) -> Result<Visitor, Failure> {
        let known = origin
            .as_ref()
            .and_then(|origin| self.origins.recognize(origin, own));
        known.ok_or_else(|| {
            match origin {
                Some(_) => self.tell(
                    &format!("a page of {text}"),
                    &format!("--allow-origin {text}"),
                ),
                None => self.tell("a page of no origin", "none: it could be any page"),
            }
            let message = "pages of this origin may not connect; see --allow-origin";
            Failure::new(Code::ForbiddenOrigin, message)
        })
    }

    /// At most so often, since any page can have its visitors' browsers ask as often as it likes.
    fn tell(&self, who: &str, flag: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told
            .last
            .is_none_or(|last| last.elapsed() >= limits::REFUSAL_LOG_INTERVAL);
        if !is_due {
            told.since += 1;
            return;
        }
        let unsaid = std::mem::take(&mut told.since);
        told.last = Some(Instant::now());
        drop(told);
        tracing::warn!(unsaid, "turned away {who}; what would let it in: {flag}");
    }
}
