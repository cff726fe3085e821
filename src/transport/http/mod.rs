//! What requests over HTTP have in common: their headers, parameters and bodies, and answers that hold their share.

pub(super) mod accept;
pub(super) mod conditions;
pub(super) mod content;
pub(super) mod failure;
pub(super) mod header;
pub(super) mod held;
pub(super) mod params;
