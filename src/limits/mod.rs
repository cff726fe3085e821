//! Every bound of the server, one constant each, with its unit in the name and its reason beside it.
//!
//! A bound is reached by a mistake, an attack or an overload; each is answered by name (see `protocol::Code`) and has
//! a test.
//!
//! - `client`: what clients may send and ask. `identity`: what proves who they are. May change.
//! - `index`: declared indexes, and how far a plan looks into them.
//! - `quota`: what is kept of those whose role has limits, and of those who have yet to say who they are.
//! - `stored`: what stored logs and exports are read by. May only grow. `time`: how long things may take.
//! - `node`: what a node holds at once, for each client and for all together; its header adds it up.

mod client;
mod identity;
mod index;
mod node;
mod quota;
mod stored;
mod time;

pub use client::*;
pub use identity::*;
pub use index::*;
pub use node::*;
pub use quota::*;
pub use stored::*;
pub use time::*;
