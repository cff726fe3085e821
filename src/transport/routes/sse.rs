//! A subscription as Server-Sent Events: `id: EPOCH:SEQ`, `event: change`, `data: {…}`.
//!
//! A chunk of the body holds a share of the budget until the kernel has it; the next is made only then.

use std::convert::Infallible;
use std::fmt::Write;

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::Grant;
use crate::domain::Seq;
use crate::guard::{Admission, AdmissionError};
use crate::limits;
use crate::node::{Budget, Counted, Epoch, Node, Notice, Subscription, Transport};
use crate::protocol;
use crate::protocol::{Failure, RequestKind};
use crate::quota::SessionSeat;
use crate::transport::App;
use crate::transport::http::budgeted_body::with_share;
use crate::value::Steps;

/// What a stream woke up for.
enum StreamWakeup {
    Access(Result<(), AdmissionError>),
    Frames,
}

/// A subscription as the body of one answer. Its chunks are pulled by the connection: a client that does not read costs
/// only what its socket holds.
pub(super) struct EventStream {
    subscription: Subscription,
    /// By which it was opened.
    admission: Admission,
    grant: Grant,
    epoch: Epoch,
    closing: CancellationToken,
    budget: Budget,
    /// The next chunk, as far as it is written.
    chunk: String,
    /// Frames in it.
    count: usize,
    /// Whether this chunk is the last.
    has_failed: bool,
    node: Node,
    _counted: Counted,
    _seat: SessionSeat,
}

impl EventStream {
    pub(crate) fn new(
        subscription: Subscription,
        stale: Option<&'static str>,
        admission: Admission,
        seat: SessionSeat,
        app: &App,
    ) -> Self {
        let mut new = Self {
            subscription,
            grant: admission.grant().clone(),
            admission,
            epoch: app.node.epoch(),
            closing: app.closing.clone(),
            budget: app.node.subscription_budget().clone(),
            // A client reconnects after a second.
            chunk: "retry: 1000\n\n".to_owned(),
            count: 0,
            has_failed: false,
            node: app.node.clone(),
            _counted: app.node.metrics().session(Transport::Sse),
            _seat: seat,
        };
        if let Some(reason) = stale {
            let reset = protocol::reset(reason, new.subscription.seq());
            write(&mut new.chunk, "reset", None, reset.as_str());
        }
        new
    }

    /// The chunks of the body, each of several events. It ends when the server does, or the subscription fails.
    pub(crate) fn chunks(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut stream| {
            let chunk = stream.next().await?;
            Some((Ok(chunk), stream))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        let closing = self.closing.clone();
        let mut share = None;
        while self.chunk.is_empty() && !self.has_failed {
            let Self {
                admission,
                subscription,
                ..
            } = self;
            let ready = async {
                tokio::select! {
                    biased;
                    changed = admission.changed() => StreamWakeup::Access(changed),
                    () = subscription.ready() => StreamWakeup::Frames,
                }
            };
            let ready = timeout(limits::PING_INTERVAL, ready);
            match closing.run_until_cancelled(ready).await {
                Some(Ok(StreamWakeup::Access(changed))) => self.go_by_admission(changed),
                Some(Ok(StreamWakeup::Frames)) => {
                    share = Some(
                        self.budget
                            .reserve(limits::SUBSCRIPTION_FLUSH_BYTES_MAX)
                            .await,
                    );
                    self.take();
                    if self.chunk.is_empty() {
                        share = None;
                        // It may judge many changes that its filter does not see: other tasks must run too.
                        tokio::task::yield_now().await;
                    }
                }
                // Proxies cut idle connections.
                Some(Err(_)) => self.chunk.push_str(": keep-alive\n\n"),
                None => return None,
            }
        }
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return None;
        }
        let count = std::mem::take(&mut self.count);
        self.node.metrics().sent(Transport::Sse, count, chunk.len());
        Some(match share {
            Some(share) => with_share(chunk, share),
            None => Bytes::from(chunk),
        })
    }

    fn take(&mut self) {
        let (epoch, chunk, count) = (self.epoch, &mut self.chunk, &mut self.count);
        let mut push = |notice: Notice| {
            *count += 1;
            let id = notice.position.map(|seq| (epoch, seq));
            write(chunk, notice.frame_type, id, notice.frame.as_str());
        };
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        if let Err(error) = self.subscription.take(&slice, &mut push) {
            self.fail(&Failure::from(error));
        }
    }

    /// Ends with a failure, which is not called `error`: an EventSource calls a lost connection so.
    fn fail(&mut self, failure: &Failure) {
        let error = protocol::error(None, Some(RequestKind::Subscribe), failure);
        write(&mut self.chunk, "failure", None, error.as_str());
        self.has_failed = true;
    }

    /// A stream that sees otherwise from now on ends, and its client comes back without a position: it begins anew.
    fn go_by_admission(&mut self, changed: Result<(), AdmissionError>) {
        match changed {
            Err(refusal) => self.fail(&Failure::from(refusal)),
            Ok(()) if self.grant.sees_as(self.admission.grant()) => {}
            Ok(()) => {
                let reset = protocol::reset(protocol::ACCESS_CHANGED, self.subscription.seq());
                self.chunk.push_str("id\n");
                write(&mut self.chunk, "reset", None, reset.as_str());
                self.has_failed = true;
            }
        }
    }
}

/// Writes an event. JSON as livelog writes it has no line ends, so one `data` line holds it.
fn write(chunk: &mut String, name: &str, id: Option<(Epoch, Seq)>, json: &str) {
    debug_assert!(!json.contains(['\r', '\n']), "it would end the line");
    if let Some((epoch, seq)) = id {
        writeln!(chunk, "id: {epoch}:{seq}").expect("memory takes it");
    }
    write!(chunk, "event: {name}\ndata: {json}\n\n").expect("memory takes it");
}
