//! Which requests are allowed: by the host they are addressed to, and by the origin of the page that makes them.

use super::host::{AllowedHosts, Authority};
use super::origin::{AllowedOrigins, Origin, OriginMatch};
use crate::protocol::{Code, Failure};
use crate::telemetry::Throttle;

/// The hosts and origins that the operator allows, beside the server's own.
#[derive(Debug, Default)]
pub struct AccessPolicy {
    hosts: AllowedHosts,
    origins: AllowedOrigins,
    /// Two throttles, so that many refusals of one kind do not hide the other in the log.
    host_warnings: Throttle,
    origin_warnings: Throttle,
}

impl AccessPolicy {
    /// Allows these.
    pub fn new(hosts: AllowedHosts, origins: AllowedOrigins) -> Self {
        Self {
            hosts,
            origins,
            ..Self::default()
        }
    }

    pub(super) fn check_host(&self, target: Option<&Authority>) -> Result<(), Failure> {
        match target {
            Some(target) if !self.hosts.allow(target) => {
                let host = &target.host;
                warn(
                    &self.host_warnings,
                    &format!("to the host {host}"),
                    &format!("--allow-host {host} would allow it"),
                );
                let message =
                    format!("this server does not know itself as {host}; see --allow-host");
                Err(Failure::new(Code::ForbiddenHost, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_origin(
        &self,
        origin: Option<&Origin>,
        text: &str,
        target: Option<&Authority>,
        own_scheme: &str,
    ) -> Result<OriginMatch, Failure> {
        let matched =
            origin.and_then(|origin| self.origins.match_origin(origin, target, own_scheme));
        matched.ok_or_else(|| {
            match origin {
                Some(_) => warn(
                    &self.origin_warnings,
                    &format!("of a page of {text}"),
                    &format!("--allow-origin {text} would allow it"),
                ),
                None => warn(
                    &self.origin_warnings,
                    "of a page of no origin",
                    "no option would allow it: it could be any page",
                ),
            }
            let message = "pages of this origin may not connect; see --allow-origin";
            Failure::new(Code::ForbiddenOrigin, message)
        })
    }
}

/// Rate-limited, since any page can make its visitors' browsers send as many requests as it likes.
fn warn(throttle: &Throttle, what: &str, remedy: &str) {
    throttle.log(|suppressed| {
        tracing::warn!(suppressed, "turned away a request {what}; {remedy}");
    });
}
