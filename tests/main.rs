//! Black-box tests: real processes, real sockets, a real MongoDB. One binary, so that all share one.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests fail by panicking, and nobody links to them"
)]

mod support; // MongoDB, server processes, clients

#[tokio::test]
async fn mongod_works() {
    println!("{}", support::mongod::uri().await);
    let mut own = support::mongod::Mongod::start().await.unwrap();
    own.kill();
    own.restart().await.unwrap();
}
