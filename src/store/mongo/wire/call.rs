//! One call to the database: its deadline, and what its errors mean.
//!
//! The driver has no socket timeout, and dropping one of its futures half-way can upset it. So every call runs as a
//! task of its own, and the deadline is one of waiting for that task: a caller that gives up leaves the call to end by
//! itself.
//!
//! Promises that no message made here holds a payload or a secret: server messages can quote documents, so only their
//! code and its name are passed on.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mongodb::error::{Error, ErrorKind, WriteFailure};
use tokio::task::JoinError;

use crate::limits;
use crate::store::StoreError;
use crate::telemetry::Throttle;

/// How long one round trip may take before the store counts as out of reach. Above the driver's own
/// server selection, so that its better message comes first.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(6);

/// What the driver may spend on finding a primary, and on connecting to it.
pub(crate) const REACH_DEADLINE: Duration = Duration::from_secs(4);

/// Server error codes that mean something to livelog.
pub(crate) mod code {
    pub(in crate::store::mongo) const BAD_VALUE: i32 = 2;
    pub(in crate::store::mongo) const UNAUTHORIZED: i32 = 13;
    pub(in crate::store::mongo) const NAMESPACE_NOT_FOUND: i32 = 26;
    pub(in crate::store::mongo) const NAMESPACE_EXISTS: i32 = 48;
    pub(in crate::store::mongo) const MAX_TIME_EXPIRED: i32 = 50;
    pub(in crate::store::mongo) const PARALLEL_ARRAYS: i32 = 171;
    pub(in crate::store::mongo) const INVALID_RESUME_TOKEN: i32 = 260;
    pub(in crate::store::mongo) const CHANGE_STREAM_FATAL: i32 = 280;
    pub(in crate::store::mongo) const CHANGE_STREAM_HISTORY_LOST: i32 = 286;
    pub(in crate::store::mongo) const SNAPSHOT_TOO_OLD: i32 = 239;
    pub(in crate::store::mongo) const SNAPSHOT_UNAVAILABLE: i32 = 246;
    pub(in crate::store::mongo) const DUPLICATE_KEY: i32 = 11_000;
    pub(in crate::store::mongo) const AMBIGUOUS_FIELD: i32 = 16_746;

    /// Errors that pass: the same call may succeed when there is another primary, or what was in the way is gone. Every
    /// other error of a command stays, however often it is tried.
    pub(in crate::store::mongo) const TRANSIENT: &[i32] = &[
        6,      // HostUnreachable
        7,      // HostNotFound
        24,     // LockTimeout
        43,     // CursorNotFound
        46,     // LockBusy
        64,     // WriteConcernFailed
        89,     // NetworkTimeout
        91,     // ShutdownInProgress
        94,     // NotYetInitialized
        95,     // NotSecondary
        100,    // UnsatisfiableWriteConcern
        112,    // WriteConflict
        117,    // ConflictingOperationInProgress
        133,    // FailedToSatisfyReadPreference
        134,    // ReadConcernMajorityNotAvailableYet
        175,    // QueryPlanKilled: the view was replaced by a rebuild
        189,    // PrimarySteppedDown
        202,    // NetworkInterfaceExceededTimeLimit
        211,    // KeyNotFound: of the cluster's clock, after an election
        225,    // TransactionTooOld
        237,    // CursorKilled
        239,    // SnapshotTooOld
        244,    // TransactionAborted
        246,    // SnapshotUnavailable
        251,    // NoSuchTransaction
        262,    // ExceededTimeLimit
        290,    // TransactionExceededLifetimeLimitSeconds
        314,    // ExceededMemoryLimit
        317,    // ConnectionPoolExpired
        358,    // InternalTransactionNotSupported: while it is upgraded
        365,    // TemporarilyUnavailable
        384,    // ConnectionError
        388,    // TransactionTooLargeForCache: of the server's cache, at the moment
        9_001,  // SocketException
        10_107, // NotWritablePrimary
        11_600, // InterruptedAtShutdown
        11_601, // Interrupted
        11_602, // InterruptedDueToReplStateChange
        13_435, // NotPrimaryNoSecondaryOk
        13_436, // NotPrimaryOrSecondary
        14_031, // OutOfDiskSpace
    ];

    /// MongoDB's name of the error, for those that a write of livelog's may meet.
    pub(in crate::store::mongo) fn name(code: i32) -> String {
        let known = match code {
            BAD_VALUE => "BadValue",
            UNAUTHORIZED => "Unauthorized",
            121 => "DocumentValidationFailure",
            PARALLEL_ARRAYS => "CannotIndexParallelArrays",
            10_334 => "BSONObjectTooLarge",
            DUPLICATE_KEY => "DuplicateKey",
            _ => return format!("Location{code}"),
        };
        known.to_owned()
    }
}

/// Why a call did not end well.
#[derive(Debug)]
pub(crate) enum CallError {
    /// An error of the driver or the server.
    Driver(Box<Error>),
    /// No answer within this.
    Late(Duration),
    /// The call's task ended without an answer, for this reason.
    Lost(&'static str),
}

/// Runs `call` as a task of its own and waits for it until `deadline`.
pub(crate) async fn within<T, F>(deadline: Duration, call: F) -> Result<T, CallError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    match tokio::time::timeout(deadline, tokio::spawn(call)).await {
        Ok(Ok(answer)) => answer.map_err(|error| CallError::Driver(Box::new(error))),
        Ok(Err(join)) => Err(CallError::Lost(join_failure(&join))),
        Err(_) => Err(CallError::Late(deadline)),
    }
}

impl CallError {
    /// Whether the call certainly did not reach the server.
    pub(crate) fn never_arrived(&self) -> bool {
        match self {
            Self::Driver(error) => matches!(
                &*error.kind,
                ErrorKind::ServerSelection { .. } | ErrorKind::Authentication { .. }
            ),
            Self::Late(_) | Self::Lost(_) => false,
        }
    }

    /// The server's error code, if the server answered with one.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Driver(error) => error_code(error),
            Self::Late(_) | Self::Lost(_) => None,
        }
    }
}

impl From<CallError> for StoreError {
    fn from(failure: CallError) -> Self {
        match failure {
            CallError::Driver(error) => store_error(&error),
            CallError::Late(deadline) => Self::Unavailable(format!("no answer in {deadline:?}")),
            CallError::Lost(reason) => Self::Unavailable(reason.to_owned()),
        }
    }
}

/// The server's error code, wherever the driver put it.
pub(crate) fn error_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.as_ref().and_then(|errors| errors.first());
            first.map(|write| write.code)
        }
        _ => None,
    }
}

/// What a driver error means to the callers of a store, in words that quote no document.
pub(crate) fn store_error(error: &Error) -> StoreError {
    match &*error.kind {
        ErrorKind::Command(command) if command.code == code::MAX_TIME_EXPIRED => {
            StoreError::QueryTooSlow
        }
        ErrorKind::Command(command) if !is_transient(error, command.code) => {
            StoreError::Refused(format!("{} ({})", command.code_name, command.code))
        }
        ErrorKind::BsonDeserialization(_) | ErrorKind::InvalidResponse { .. } => {
            StoreError::Corrupt {
                at: "an answer of the database".into(),
                reason: "not readable".to_owned(),
            }
        }
        _ => StoreError::Unavailable(describe(error)),
    }
}

/// Whether the same call may succeed later. The server says so by labels too.
fn is_transient(error: &Error, server: i32) -> bool {
    const LABELS: [&str; 3] = [
        "TransientTransactionError",
        "RetryableWriteError",
        "SystemOverloadedError",
    ];
    code::TRANSIENT.contains(&server) || LABELS.iter().any(|label| error.contains_label(label))
}

/// A driver error in words that quote no document and no secret.
pub(crate) fn describe(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => format!("{} ({})", command.code_name, command.code),
        ErrorKind::ServerSelection { .. } => "no primary can be reached".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connection was lost".to_owned(),
        ErrorKind::Io(error) => format!("network: {}", error.kind()),
        ErrorKind::Authentication { .. } => "authentication failed".to_owned(),
        _ => match error_code(error) {
            Some(code) => error_with_code(code),
            None => "the driver failed".to_owned(),
        },
    }
}

/// An error of the server in words that quote no document.
pub(crate) fn error_with_code(code: i32) -> String {
    format!("the database answered with error {code}")
}

/// Works on an answer of the database on a thread for blocking work, for as long as the result is waited for: `work`
/// checks that with its [`AwaitedCall`].
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce(&AwaitedCall) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let waiting = Arc::new(());
    let caller = AwaitedCall(Arc::downgrade(&waiting));
    let outcome = tokio::task::spawn_blocking(move || work(&caller)).await;
    drop(waiting);
    outcome.unwrap_or_else(|join| Err(CallError::Lost(join_failure(&join)).into()))
}

/// The future that waits for a computation.
pub(crate) struct AwaitedCall(Weak<()>);

impl AwaitedCall {
    /// An error, to end the computation, once its result is not waited for.
    pub(crate) fn ensure_waiting(&self) -> Result<(), StoreError> {
        match self.0.strong_count() {
            0 => Err(CallError::Lost("its caller has left").into()),
            _ => Ok(()),
        }
    }
}

/// Why a task ended without a result. What a panic said is not part of it: the panic hook has printed that.
pub(crate) fn join_failure(join: &JoinError) -> &'static str {
    match join.is_panic() {
        true => "its task panicked",
        false => "the runtime is shutting down",
    }
}

/// Logs, now and then, the failure of a call whose caller goes on without it.
pub(crate) fn warn_if_failed(throttle: &Throttle, what: &str, outcome: Result<(), CallError>) {
    if let Err(failure) = outcome {
        let error = StoreError::from(failure);
        throttle.log(|suppressed| tracing::warn!(%error, suppressed, "{what}"));
    }
}

/// How long to wait for one answer to a query: what the database may take, and the way there and back.
pub(crate) const QUERY_CALL_DEADLINE: Duration =
    limits::QUERY_DEADLINE.saturating_add(REACH_DEADLINE);

/// The error of the first document that a write command refused, in an answer that is otherwise good.
pub(crate) fn write_error(answer: &bson::Document) -> Option<&bson::Document> {
    let errors = answer.get_array("writeErrors").ok()?;
    errors.first()?.as_document()
}

/// How many documents a write command reports as written.
pub(crate) fn count(answer: &bson::Document) -> usize {
    let count = answer.get_i32("n").unwrap_or(0);
    usize::try_from(count).unwrap_or(0)
}

/// How long to wait before retry number `tries` (from 0): doubling from `least` up to `most`, and a random part between
/// half and all of that, so that two nodes do not collide again and again.
pub(crate) fn backoff(tries: u32, least: Duration, most: Duration) -> Duration {
    let full = least.saturating_mul(1 << tries.min(16)).min(most);
    let half = full / 2;
    let random = uuid::Uuid::new_v4().as_u128() & 0xffff;
    half + half.mul_f64(f64::from(u16::try_from(random).unwrap_or(0)) / 65_536.0)
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use mongodb::error::CommandError;

    use super::*;

    /// What the server's answer to a command means.
    fn meaning(code: i32) -> StoreError {
        let answer = doc! { "code": code, "codeName": "Name", "errmsg": "quotes a document" };
        let error: CommandError = bson::deserialize_from_document(answer).expect("an answer");
        store_error(&Error::from(ErrorKind::Command(error)))
    }

    #[test]
    fn only_answers_that_pass_are_outages() {
        for code in [43, 91, 112, 189, 388, 10_107, 11_602, 13_435] {
            let meaning = meaning(code);
            assert!(matches!(meaning, StoreError::Unavailable(_)), "{code}");
        }
        assert!(matches!(meaning(50), StoreError::QueryTooSlow));
        for code in [2, 9, 13, 16_746, 51_091, 5_107_201, 1_234_567] {
            let StoreError::Refused(reason) = meaning(code) else {
                panic!("{code} is taken for a transient error");
            };
            assert_eq!(reason, format!("Name ({code})"));
        }
    }
}
