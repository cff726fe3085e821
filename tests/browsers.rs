//! Black-box tests in which others run: browsers, Node, Bun, Deno, and the libraries that people use there.
//!
//! A binary of its own, since cargo runs one after the other: a browser takes all the processors there are, and the tests
//! of `main` measure time. What both stand on is the same.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "tests fail by panicking, nobody links to them, and `main` needs more of what both stand on"
)]

mod adapters; // the client in React and TanStack DB, and the example pages
mod clients; // the JavaScript client, in every runtime that it is for
#[cfg(feature = "embedded")]
mod console; // the page at `/`
#[cfg(all(feature = "embedded", feature = "mongodb", feature = "socketio"))]
mod peers; // who was written for the server that livelog replaces
#[cfg(all(feature = "embedded", feature = "socketio"))]
mod socketio; // clients of Socket.IO: every transport, reconnects, bounds
mod support; // MongoDB, server processes, clients, loads
