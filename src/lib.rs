//! livelog: an event-sourced server with change streams.
//!
//! Clients create, update, delete and fetch JSON documents over a WebSocket or REST. Every write is one entry of an
//! append-only log and one change to a materialized view; every change is pushed, in order, to every session of every
//! node.
//!
//! This page is the map of the code. [The manual](manual) is for who uses livelog, and says how to run one test, add a
//! command or bump a format.
//!
//! # Words
//!
//! An **event** is a stored document, a **change** one entry of the log. *What others call an event is our change; our
//! event is their aggregate or document.* The **view** is the fold of the log, **seq** a change's position in it, the
//! **head** the last seq that is durable, the **epoch** the log's identity. A **batch** is what is appended together, a
//! **command batch** what a client asked for together. A **permit** lets one of many do what costs much; a **budget**
//! counts bytes that are held for clients.
//!
//! # Rooms
//!
//! ```text
//! program -> cli -> server          reads what was typed; puts the parts together
//!    |                 |
//!    |    transport -> session -> node   bytes and HTTP; one conversation; the only face of what is below
//!    |                           /    \
//! offline                   engine    feed     work beside the server; one writer; one reader
//!        \                       \    /
//!         -------------------->  store         where the log and the view are
//!                                  |
//!    protocol -> domain -> query -> value      pure: the wire; changes and rules; filters; JSON values
//!    store, engine -> indexes -> query         pure: what stands where in declared indexes, and which helps a query
//!    adoption, access --^                      pure: what other programs' documents become; rules that are filters
//!
//!    node -> quota -> access, protocol         how much of a node one principal may take
//!    session -> guard -> access, identity      who may come in; pure: the rules; who somebody is
//!    credentials -> identity                   new tokens and keys
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`value`] | JSON values and documents: read, checked, ordered, counted in steps. Knows nothing else |
//! | [`query`] | the filter language over values: parsing, judging, sorting, paging, projecting, grouping |
//! | [`indexes`] | declared indexes: keys that sort as values do, the ranges of a filter and whether they decide it, the plan of a query; what no two events may hold |
//! | [`domain`] | events, changes and commands; [`decide`](domain::decide()) makes the one of the others; what a change is to who sees a filter's events |
//! | [`protocol`] | every byte of JSON that clients say and hear |
//! | [`access`] | who may see and change what: rules that are filters, and what they come to for one principal |
//! | [`quota`] | how much of a node one principal may take: rates, sessions, and sockets that have shown no credentials |
//! | [`adoption`] | what the documents of another program become: BSON's types and Extended JSON, converted by one table |
//! | [`store`] | the log and the view behind one trait; `embedded` on redb, `mongo` on MongoDB; each in `format` or `wire`, `write`, `read`, `tail` |
//! | [`engine`] | the committer: command batches in, decided changes appended, answers out |
//! | [`feed`] | the pump, the live window, and the fan-out of changes to subscriptions |
//! | [`node`] | a livelog without a transport: what sessions and routes call, its supervisor, its permits |
//! | [`session`] | one client's conversation over a WebSocket: requests in order, answers in order, an outbox |
//! | [`transport`] | `tls` (certificates), `connection` (bytes), `gate` (who may ask), `http` (what requests share), `routes`, `socketio` |
//! | `clients/js`, `console` | what browsers load, which [`transport`] serves: the client, and a console that is built on it |
//! | [`offline`] | work on a log beside the server: replay, verify, export, import, copy, redact, adopt |
//! | [`identity`] | tokens and API keys, verified: who somebody is, and never what they may do |
//! | [`guard`] | who may come in, and how long: the access file, followed as it changes; the keys of issuers, fetched and kept |
//! | [`credentials`] | `livelog token` and `livelog key new` |
//! | [`limits`] | every bound: what clients may send, what stored data is read by, what a node may sum up to |
//! | [`budget`], [`fairness`], [`metrics`], [`panics`], [`telemetry`] | bytes held, turns by cost, what is counted, what a panic says, the log for operators |
//! | `settling`, `wall_clock` | when files that are followed have become others; the time that may be set back |
//! | [`program`], [`cli`], [`server`] | the process, its command line, and its parts put together |
//! | [`mod@bench`] | the load generator, a client: it knows the wire alone, and nothing leans on it |
//!
//! Arrows point down only, and `tests/tidy.rs` has a row for each room. What is deliberately not there:
//!
//! - `value`, `query`, `domain`, `identity` and `protocol` do no IO, read no clock and await nothing: they are tested by
//!   calling functions.
//! - `engine` and `feed` do not know each other. They meet in the log, so a change that another node wrote takes the very
//!   same path as one's own.
//! - Only `store::mongo` knows MongoDB, only `store::embedded` knows redb, and only `transport` serves HTTP. Either store
//!   can be left out of a build (features `embedded` and `mongodb`).
//! - No client JSON reaches MongoDB as a query: a filter is parsed into a tree, and the tree is translated.
//! - No operator of an update reaches a store: [`domain`] decides it, and the change tells its effect.
//! - No client's request reaches a [`Node`](node::Node) but through [`Guarded`](node::Guarded), which narrows it to what its
//!   principal may see. Commands are judged by the same grant, in the committer, on the event as it is by then.
//! - Nothing is started again within a process: [`Supervisor`](node::Supervisor) is told when a task that the node cannot
//!   do without has ended, and the node ends.
//! - What is held for clients takes room of a [`budget`] before it is made or read, and gives it back when the kernel has
//!   it. Who holds room waits for the client alone, never for more room: so room always comes back.
//! - No session has a queue of its own to fill: it pulls from the live window, or from the log. What a filter group
//!   remembers is the seqs of its latest matches, and few.
//!
//! # Invariants
//!
//! - The log is the truth: `seq` 1, 2, 3 … without a gap. The view is its fold, at every moment
//!   anyone can see.
//! - A version names one state of an id for ever, and times never run backwards along the log; but for logs that
//!   earlier livelogs wrote, which are read as they are.
//! - Nobody hears of a change, or of a refusal, before what it rests on is durable.
//! - The engine's memory of recent events is only as good as its head: a successful compare-and-set
//!   proves both; what another node wrote is read from the log and taken in.
//! - No two events hold the same in a unique index, at any seq from when it was first served. The committer decides it: who
//!   holds what is looked up after the head is known, and the compare-and-set of that head proves it. A store's nodes keep
//!   the same ones, or cannot append.
//! - A listener's or subscription's `seq` only grows, and passes no change that it should tell.
//! - The past does not change, but for what is erased: of that the seqs stay, and a life of which any change
//!   is erased ends with its deletion, so the view never rests on it.
//!
//! # A command, from frame to answer
//!
//! 1. [`transport`] takes a text frame off the socket, unless the session has its fill of requests.
//! 2. [`protocol`] parses it: [`ParsedRequest`](protocol::ParsedRequest), or an error with code and path.
//! 3. [`session`] hands the command to the engine and queues the answer, in order.
//! 4. [`engine`]: the mailbox takes it against bytes; the committer takes all that waits, up to a
//!    batch; remembers or loads the events it names; and calls [`decide`](domain::decide()) for each, every one
//!    seeing what those before it did; then it looks up who holds what they take of unique indexes, and where that is not
//!    free decides again.
//! 5. [`Store::append`](store::Store::append), once. MongoDB: log entries, view and head in one
//!    transaction, the head by compare-and-set. Embedded: log entries and one fsync; the view follows in
//!    memory and moves to the file a little with every append. `Moved`: another node wrote, take it in
//!    and decide again. `Unknown`: never guess, append again and look into the log.
//! 6. The committer answers all, refusals too, in the order they came; the session encodes and sends.
//!
//! # A change, from log to frame
//!
//! 1. [`Store::tail`](store::Store::tail) yields it: handed over by this node's own append, or read
//!    from the log because MongoDB's change stream says that there is more.
//! 2. The pump of [`feed`] asserts that it is the next one and publishes it to the live window. Every
//!    session's [`Listener`](feed::Listener) wakes and takes what is new.
//! 3. Then the pump finds the groups of subscriptions whose filter may see it, by the values it has now
//!    and had before; judges it once for each group; and wakes the sessions concerned. Each
//!    [`Subscription`](feed::Subscription) takes what its group remembers. Judging counts its
//!    [`Steps`](value::Steps): what takes many is left to the subscriptions themselves, and by them to one thread of
//!    the node that does nothing else.
//! 4. What they take are frames that the first who needed them has encoded for all. [`transport`] hands up
//!    to a flush of frames to the socket, in pieces, and flushes once. It reads nothing more until the kernel has
//!    taken them, and gives up on a client of which the kernel takes nothing for a while.
//! 5. Who is left behind by the window reads the log, in pages that are shared with everyone else who is,
//!    until the window is reached again.
//!
//! # A read of the past
//!
//! 1. [`Fetch::as_of`](protocol::Fetch::as_of) names a seq or a time, and [`node`] finds the seq that it means.
//! 2. [`Store::find_at`](store::Store::find_at) goes through the events that there ever were, in the order of their
//!    ids, and takes of each what its last change up to that seq left. The embedded store follows the changes of
//!    an event back from a milestone; MongoDB has an index. No view is copied, then or now.
//! 3. From there on it is an answer like any other.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on fails")
)]

pub mod cli;
pub mod program;
pub mod server;

pub mod node;
pub mod session;
pub mod transport;

pub mod credentials;
pub mod guard;
pub mod identity;

pub mod engine;
pub mod feed;
pub mod store;

pub mod access;
pub mod adoption;
pub mod domain;
pub mod indexes;
pub mod protocol;
pub mod query;
pub mod quota;
pub mod value;

pub mod budget;
pub mod fairness;
pub mod limits;
pub mod manual;
pub mod metrics;
pub mod panics;
mod settling;
pub mod telemetry;
mod wall_clock;

pub mod bench;
pub mod offline;
