//! The routes: each reads a request into a type of `protocol`, calls the node, and answers.

pub(super) mod changes;
pub(super) mod conversation;
pub(super) mod files;
pub(super) mod handshake;
pub(super) mod metrics;
pub(super) mod rest;
pub(super) mod sse;
mod visitor;
pub(super) mod websocket;
pub(super) mod writes;
