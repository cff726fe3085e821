//! Who may see and change what: the rules of the access file.
//!
//! **Rules are filters.** What a principal reads is livelog as its rule sees it: every read asks for what matches the rule
//! *and* the client's filter, judged by the same code, on the same events before and after, whether they are read from
//! the view, the log, the past or the live window. What it writes is judged on the event as it is and as it would
//! become.
//!
//! - [`Policy`] is the file, parsed: roles, whose rules hold claims that are still to be filled in (`template`).
//! - [`Principal`] is who shows credentials; [`Policy::admit`] makes of it a
//! - [`Grant`]: one role, its claims filled in. What sessions, routes and the engine ask.
//!
//! A claim is a typed value and never text, and a claim that is missing makes its rule false. There is one role at a
//! time: what two roles allow together nobody has written down.
//!
//! Pure: no file, no clock. Who a token is about is verified elsewhere.

mod claims;
mod decide;
mod denied;
mod explain;
mod grant;
mod limits;
mod policy;
mod role;
mod rule;
mod template;
#[cfg(test)]
mod tests;

pub use claims::Claims;
pub use denied::{Denied, RuleName};
pub use explain::{EventRights, Explained};
pub use grant::Grant;
pub use limits::{Rate, RoleLimits};
pub use policy::{Policy, PolicyError, Principal};
pub use role::Past;
