//! Black-box tests: real server processes, real sockets, a real MongoDB.
//!
//! One binary, so that all share one MongoDB; a file for each topic. A test's name is a fact about livelog.
//!
//! A livelog that was built without one of the stores is tested on the other; what needs both is left out then.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "tests fail by panicking, and nobody links to them"
)]
#![cfg_attr(
    not(all(feature = "embedded", feature = "mongodb")),
    allow(
        dead_code,
        unused_imports,
        reason = "some of what the tests stand on is for the other store"
    )
)]

#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod adopt; // what another program left in MongoDB is moved in
mod advisories; // what went wrong with the access rules of others
mod batch; // several commands, all or none
mod changes; // what sessions are pushed: order, resume, broadcasts, slow readers
mod commands; // what each command does and answers
mod conditions; // what must hold for a write over HTTP
mod costly; // filters and events that take very long to judge
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod counts; // how many events match, beside a page or without one
mod credentials; // `livelog token` and `livelog key new`
#[cfg(feature = "embedded")]
mod cut_off; // what was filled in part only is not taken for whole
#[cfg(feature = "embedded")]
mod disk; // the disk under the embedded store: full, failing, read-only, damaged, or another than it was
#[cfg(feature = "embedded")]
mod documents; // files of other programs are imported
mod doors; // tokens, routes and sockets: who gets in where, and what is made of nonsense
#[cfg(feature = "embedded")]
mod embedded; // the embedded store: its folder, its file, its failures, its queries
#[cfg(feature = "embedded")]
mod embedded_crash; // the embedded store when the power goes
#[cfg(feature = "mongodb")]
mod engine; // the engine on a store that fails as told
mod errors; // what is refused, with which code, and that the connection lives on
#[cfg(feature = "embedded")]
mod feed; // what a thousand subscriptions cost the store
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod files; // what browsers load: the client, the console, the manual
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod filters; // the query language, judged by a real MongoDB
#[cfg(feature = "mongodb")]
mod foreign_indexes; // indexes and validators that others put on livelog's collections
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod formats; // what earlier livelogs wrote is read, and what later ones write is refused
mod guard; // who gets in, how, and how long
mod http; // refusals, methods, bodies, headers as HTTP has them
mod identity; // tokens and API keys: which prove something, and that nothing else does
mod indexes; // declared indexes: the same answers, built beside writes, removed
mod key_servers; // issuers that publish their keys
#[cfg(feature = "embedded")]
mod kill; // the embedded store under a server that is killed again and again
#[cfg(feature = "embedded")]
mod life; // a node whose tasks die says so and ends; nothing else takes it down
mod limits; // every bound of `src/limits` that a client can reach
mod manual; // README and the manual
mod memory; // what a node takes, whatever its clients do
mod metrics; // what a node counts of itself, and how a request is found in its log
#[cfg(feature = "mongodb")]
mod nodes; // several nodes on one MongoDB
#[cfg(all(feature = "embedded", feature = "socketio"))]
mod noninterference; // what somebody may not see makes no difference to what they hear
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod operands; // operands, paths and orders from one end of their range to the other
mod origin; // which web pages may connect
#[cfg(feature = "mongodb")]
mod outage; // MongoDB goes away and comes back
mod pages; // GET /api/changes: the log in pages
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod past; // what the stores tell of the past, judged by the log
mod past_seen; // the past, of what is seen now too
mod ping; // whether a session lives, asked in a message
#[cfg(feature = "embedded")]
mod proxies; // nginx and Caddy in front
mod queries; // FETCH and GET /api/events
#[cfg(feature = "embedded")]
mod quota; // how much of a node one principal may take
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod reads; // reads beside each other: what they hold, when they end
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod redaction; // an event is erased for good
#[cfg(feature = "mongodb")]
mod refounded; // another log in the place of the one that a node has open
mod repeats; // a command that is sent again has its effect once
#[cfg(feature = "mongodb")]
mod replay; // the view is rebuilt from the log and compared with it
mod rest; // writes and reads over HTTP
mod scarce; // few descriptors and threads
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod shares; // what each has of the one writer
mod shutdown; // the server is stopped or killed under load
mod sizes; // how large events and batches may be, and that what is too large can shrink
mod sockets; // what a socket may hold on to: floods, half messages, slow readers
mod sse; // GET /api/changes: a subscription as Server-Sent Events
mod stats; // events in groups, and what they sum up to
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod store_contract; // what every store promises
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod strangers; // what is not livelog's is not harmed, filled or taken for its own
mod subscriptions; // named subscriptions: filters, snapshots, catching up
mod support; // MongoDB, server processes, clients, loads
mod tidy; // rules about the source itself
mod time_travel; // histories, reads of the past, and restoring what was
mod tls; // TLS: certificates and their exchange, handshakes, sessions over it
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod transfer; // the log exported and imported
mod unique; // of one value there is one event
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod unreadable; // an entry of the log that cannot be read
#[cfg(all(feature = "embedded", feature = "mongodb"))]
mod updates; // update operators, judged by a real MongoDB
mod versions; // a version names one state of an event, over all of its lives
mod words; // what a request says is read or refused
