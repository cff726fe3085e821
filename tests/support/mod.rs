//! What the tests stand on: a real MongoDB, real server processes, real sockets.

pub mod mongod;
pub mod process;
