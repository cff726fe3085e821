//! What goes to MongoDB and comes back: calls with deadlines, and documents in both directions.

pub(super) mod call;
pub(super) mod commands;
pub(super) mod decode;
mod encode;
