//! Every bound of the server, one constant each, with its unit in the name and its reason beside it.
//!
//! A bound is reached by a mistake, an attack or an overload; each is answered by name (see `protocol::Code`) and has a test.

mod client;
mod node;
mod stored;
mod time;

pub use client::*;
pub use node::*;
pub use stored::*;
pub use time::*;
