//! The node's metrics for `GET /metrics`: every name, its help and its labels in one list.
//!
//! Each node has its own; there is no recorder of the process. The parts of a node share its [`Metrics`] and add
//! to its fields. Labels come from closed enums, so a scrape is as long after a year as after a minute, and nothing
//! that a client wrote is in it. What is a state rather than a count is measured at each scrape
//! ([`Levels`]).

mod labels;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use labels::{
    CodeLabel, KindLabel, OutcomeLabel, PlanLabel, Reason, ReasonLabel, RequestLabels, Transport,
    TransportLabel,
};

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// A node's counters.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help that is registered below says it")]
pub struct Metrics {
    registry: Registry,
    pub requests: Family<RequestLabels, Counter>,
    pub denials: Family<CodeLabel, Counter>,
    pub commit_changes: Histogram,
    pub commit_seconds: Histogram,
    pub delivery_seconds: Histogram,
    pub sessions: Family<TransportLabel, Gauge>,
    pub frames: Family<TransportLabel, Counter>,
    pub bytes: Family<TransportLabel, Counter>,
    pub queries: Family<PlanLabel, Counter>,
    pub log_reads: Family<ReasonLabel, Counter>,
    pub falls_behind: Counter,
    pub slow_closes: Counter,
    pub reopenings: Counter,
    pub tls_handshakes: Family<OutcomeLabel, Counter>,
    pub store_errors: Family<KindLabel, Counter>,
    levels: LevelGauges,
}

/// The state of a node at the time of a scrape.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels {
    /// The last change of the log, if the store can be reached.
    pub head: Option<u64>,
    /// The last change that reached this node's sessions.
    pub seq: u64,
    /// Named subscriptions.
    pub subscriptions: usize,
    /// Different filters among them: a change is judged once for each that it may concern.
    pub filters: usize,
    /// Live lists that are kept.
    pub lists: usize,
    /// Indexes that are declared.
    pub indexes: usize,
    /// Those of them that are being built.
    pub building: usize,
    /// Bytes of changes and broadcasts in the live window.
    pub window_bytes: usize,
    /// Bytes of the node's budget that are in use.
    pub budget_bytes: usize,
}

type Level = Gauge<u64, AtomicU64>;

#[derive(Debug, Default)]
struct LevelGauges {
    head: Level,
    seq: Level,
    subscriptions: Level,
    filters: Level,
    lists: Level,
    indexes: Level,
    building: Level,
    window_bytes: Level,
    budget_bytes: Level,
}

/// From a tenth of a millisecond to somewhat over 10 s, in steps of two.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("livelog"),
            requests: Family::default(),
            denials: Family::default(),
            commit_changes: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: seconds(),
            delivery_seconds: seconds(),
            sessions: Family::default(),
            frames: Family::default(),
            bytes: Family::default(),
            queries: Family::default(),
            log_reads: Family::default(),
            falls_behind: Counter::default(),
            slow_closes: Counter::default(),
            reopenings: Counter::default(),
            tls_handshakes: Family::default(),
            store_errors: Family::default(),
            levels: LevelGauges::default(),
        };
        metrics.register_counts();
        metrics.register_reads();
        metrics.register_troubles();
        metrics.register_levels();
        metrics
    }
}

impl Metrics {
    fn register_counts(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))].to_vec());
        registry.register("build", "The livelog that this node runs", build);
        registry.register(
            "requests",
            "Requests answered, by verb and outcome",
            self.requests.clone(),
        );
        registry.register(
            "denials",
            "Requests refused for who asked: without credentials that hold, without the right, or too much",
            self.denials.clone(),
        );
        registry.register(
            "commit_changes",
            "Changes in one commit",
            self.commit_changes.clone(),
        );
        registry.register_with_unit(
            "commit_duration",
            "From a batch's first attempt to append until it is durable",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register_with_unit(
            "delivery_duration",
            "From a change's arrival at this node until a session's socket has taken it, once for each flush",
            Unit::Seconds,
            self.delivery_seconds.clone(),
        );
        registry.register("sessions", "Sessions that are open", self.sessions.clone());
        registry.register(
            "frames_sent",
            "Frames that sockets have taken",
            self.frames.clone(),
        );
        registry.register("sent_bytes", "Bytes of those frames", self.bytes.clone());
    }

    fn register_reads(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "queries",
            "Queries answered, by where the events came from that were looked at: scan is all of them",
            self.queries.clone(),
        );
        registry.register(
            "log_reads",
            "Pages of the log that were read",
            self.log_reads.clone(),
        );
    }

    fn register_troubles(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "falls_behind",
            "Times that a session or subscription fell behind the live window",
            self.falls_behind.clone(),
        );
        registry.register(
            "slow_closes",
            "Sessions closed because their client took nothing for too long",
            self.slow_closes.clone(),
        );
        registry.register(
            "change_stream_reopenings",
            "Times that the stream of the store's changes was lost and opened again",
            self.reopenings.clone(),
        );
        registry.register(
            "tls_handshakes",
            "Handshakes of TLS, by outcome",
            self.tls_handshakes.clone(),
        );
        registry.register(
            "store_errors",
            "Calls that the store did not carry out",
            self.store_errors.clone(),
        );
    }

    fn register_levels(&mut self) {
        let (registry, levels) = (&mut self.registry, &self.levels);
        for (name, help, level) in [
            ("head_seq", "The last change of the log", &levels.head),
            (
                "node_seq",
                "The last change that reached this node's sessions",
                &levels.seq,
            ),
            (
                "subscriptions",
                "Named subscriptions",
                &levels.subscriptions,
            ),
            (
                "filters",
                "Different filters among the subscriptions",
                &levels.filters,
            ),
            ("lists", "Live lists that are kept", &levels.lists),
            ("indexes", "Indexes that are declared", &levels.indexes),
            (
                "indexes_building",
                "Indexes that are being built, which no query uses yet",
                &levels.building,
            ),
            (
                "window_bytes",
                "Changes and broadcasts in the live window",
                &levels.window_bytes,
            ),
            (
                "budget_used_bytes",
                "Answers, pages and loaded events that are held for clients",
                &levels.budget_bytes,
            ),
        ] {
            registry.register(name, help, level.clone());
        }
    }

    /// Everything in Prometheus' text format (0.0.4), with these levels.
    pub fn encode(&self, levels: &Levels) -> String {
        let Levels {
            head,
            seq,
            subscriptions,
            filters,
            lists,
            indexes,
            building,
            window_bytes,
            budget_bytes,
        } = *levels;
        // While the store cannot be reached, the last known head stands.
        if let Some(head) = head {
            self.levels.head.set(head.max(seq));
        }
        self.levels.seq.set(seq);
        self.levels.subscriptions.set(subscriptions as u64);
        self.levels.filters.set(filters as u64);
        self.levels.lists.set(lists as u64);
        self.levels.indexes.set(indexes as u64);
        self.levels.building.set(building as u64);
        self.levels.window_bytes.set(window_bytes as u64);
        self.levels.budget_bytes.set(budget_bytes as u64);
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("memory takes it");
        text
    }

    /// Counts an answer.
    pub fn answered(&self, verb: &'static str, outcome: &'static str) {
        self.requests
            .get_or_create(&RequestLabels { verb, outcome })
            .inc();
    }

    /// Counts a query by its plan.
    pub fn queried(&self, plan: &'static str) {
        self.queries.get_or_create(&PlanLabel { plan }).inc();
    }

    /// Counts a refusal for who asked.
    pub fn denied(&self, code: &'static str) {
        self.denials.get_or_create(&CodeLabel { code }).inc();
    }

    /// Counts a call that the store did not carry out.
    pub fn store_failed(&self, kind: &'static str) {
        self.store_errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts a handshake of TLS.
    pub fn shook_hands(&self, outcome: &'static str) {
        let label = OutcomeLabel { outcome };
        self.tls_handshakes.get_or_create(&label).inc();
    }

    /// Counts a commit.
    pub fn committed(&self, changes: usize, took: Duration) {
        self.commit_changes.observe(changes as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Records how long a change took to be delivered.
    pub fn delivered(&self, took: Duration) {
        self.delivery_seconds.observe(took.as_secs_f64());
    }

    /// Counts frames that a socket has taken.
    pub fn sent(&self, transport: Transport, frames: usize, bytes: usize) {
        let label = TransportLabel { transport };
        self.frames.get_or_create(&label).inc_by(frames as u64);
        self.bytes.get_or_create(&label).inc_by(bytes as u64);
    }

    /// Counts a read of the log.
    pub fn read_log(&self, reason: Reason) {
        self.log_reads.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a session until the guard is dropped.
    pub fn session(&self, transport: Transport) -> Counted {
        let sessions = self
            .sessions
            .get_or_create_owned(&TransportLabel { transport });
        sessions.inc();
        Counted(sessions)
    }
}

/// Counts as one as long as it lives.
pub struct Counted(Gauge);

impl fmt::Debug for Counted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counted")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
