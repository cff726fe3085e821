//! The routes: what each reads of a request, whom it asks, and what it answers.

pub(super) mod changes;
pub(super) mod handshake;
pub(super) mod metrics;
pub(super) mod rest;
pub(super) mod sse;
pub(super) mod websocket;
pub(super) mod writes;
