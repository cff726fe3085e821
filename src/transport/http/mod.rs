//! What requests over HTTP have in common: where they come from, headers, credentials, parameters and bodies, errors, and bodies
//! that hold a share of the node's budget.

pub(super) mod accept;
pub(super) mod address;
pub(super) mod admission;
pub(super) mod budgeted_body;
pub(super) mod conditions;
pub(super) mod content;
pub(super) mod failure;
pub(super) mod header;
pub(super) mod params;
