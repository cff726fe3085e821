//! Who may ask: the hosts and origins that the operator lets in, and what the log says of those that are turned away.

use super::host::{Authority, Hosts};
use super::origin::{Origin, Origins, Visitor};
use crate::protocol::{Code, Failure};
use crate::telemetry::Throttle;

/// Who is let in.
#[derive(Debug, Default)]
pub struct Guests {
    hosts: Hosts,
    origins: Origins,
    /// Apart, so that many of one kind do not hide the other.
    of_hosts: Throttle,
    of_origins: Throttle,
}

impl Guests {
    /// Lets in these beside the server's own pages.
    pub fn new(hosts: Hosts, origins: Origins) -> Self {
        Self {
            hosts,
            origins,
            ..Self::default()
        }
    }

    pub(super) fn admit_host(&self, asked: Option<&Authority>) -> Result<(), Failure> {
        match asked {
            Some(asked) if !self.hosts.admit(asked) => {
                let host = &asked.host;
                let flag = format!("--allow-host {host}");
                tell(
                    &self.of_hosts,
                    &format!("a request to the host {host}"),
                    &flag,
                );
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
                Some(_) => tell(
                    &self.of_origins,
                    &format!("a page of {text}"),
                    &format!("--allow-origin {text}"),
                ),
                None => tell(
                    &self.of_origins,
                    "a page of no origin",
                    "none: it could be any page",
                ),
            }
            let message = "pages of this origin may not connect; see --allow-origin";
            Failure::new(Code::ForbiddenOrigin, message)
        })
    }
}

/// At most every so often, since any page can have its visitors' browsers ask as often as it likes.
fn tell(complaints: &Throttle, who: &str, flag: &str) {
    complaints.warn(|kept_back| {
        tracing::warn!(kept_back, "turned away {who}; what would let it in: {flag}");
    });
}
