//! livelog

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on fails")
)]

pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod feed;
pub mod limits;
pub mod protocol;
pub mod query;
pub mod replay;
pub mod server;
pub mod service;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod transport;
