//! A subscription as Server-Sent Events: `id: EPOCH:SEQ`, `event: change`, `data: {…}`.

use std::convert::Infallible;
use std::fmt::Write;

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::domain::Seq;
use crate::limits;
use crate::node::Budget;
use crate::node::Epoch;
use crate::node::Node;
use crate::node::{Counted, Transport};
use crate::node::{Notice, Subscription};
use crate::protocol;
use crate::protocol::{Failure, RequestKind};
use crate::transport::App;
use crate::transport::http::held::held;
use crate::value::Steps;

/// A subscription on its way to one client. Pulled by the connection: a client that does not read
/// costs nothing but what its socket holds.
pub(super) struct EventStream {
    subscription: Subscription,
    epoch: Epoch,
    closing: CancellationToken,
    budget: Budget,
    /// What is written and not yet sent.
    chunk: String,
    /// Frames in it.
    count: usize,
    is_over: bool,
    node: Node,
    _counted: Counted,
}

impl EventStream {
    pub(crate) fn new(subscription: Subscription, stale: Option<&'static str>, app: &App) -> Self {
        let mut new = Self {
            subscription,
            epoch: app.node.epoch(),
            closing: app.closing.clone(),
            budget: app.node.news().clone(),
            // A client that lost its connection comes back after a second.
            chunk: "retry: 1000\n\n".to_owned(),
            count: 0,
            is_over: false,
            node: app.node.clone(),
            _counted: app.node.metrics().session(Transport::Sse),
        };
        if let Some(reason) = stale {
            let reset = protocol::reset(reason, new.subscription.seq());
            write(&mut new.chunk, "reset", None, reset.as_str());
        }
        new
    }

    /// Pieces of the body, each several events; it ends when the server does, or a snapshot broke off.
    pub(crate) fn chunks(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut stream| {
            let chunk = stream.next().await?;
            Some((Ok(chunk), stream))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        let closing = self.closing.clone();
        let mut room = None;
        while self.chunk.is_empty() && !self.is_over {
            let ready = timeout(limits::PING_INTERVAL, self.subscription.ready());
            match closing.run_until_cancelled(ready).await {
                Some(Ok(())) => {
                    room = Some(self.budget.reserve(limits::NEWS_BYTES_MAX).await);
                    self.take();
                    if self.chunk.is_empty() {
                        room = None;
                        // It judges changes of which its filter sees nothing: others have their turn too.
                        tokio::task::yield_now().await;
                    }
                }
                // Something must be heard of an idle connection, or what is between will cut it.
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
        Some(match room {
            Some(room) => held(chunk, room),
            None => Bytes::from(chunk),
        })
    }

    fn take(&mut self) {
        let (epoch, chunk, count) = (self.epoch, &mut self.chunk, &mut self.count);
        let mut out = |notice: Notice| {
            *count += 1;
            let id = notice.position.map(|seq| (epoch, seq));
            write(chunk, notice.word, id, notice.frame.as_str());
        };
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        if let Err(interrupted) = self.subscription.take(&slice, &mut out) {
            let failure = Failure::from(interrupted);
            let error = protocol::error(None, Some(RequestKind::Subscribe), &failure);
            // Not `error`, which is what an EventSource calls a lost connection.
            write(&mut self.chunk, "failure", None, error.as_str());
            self.is_over = true;
        }
    }
}

/// JSON as livelog writes it has no line ends, so one `data` line holds it.
fn write(to: &mut String, word: &str, id: Option<(Epoch, Seq)>, json: &str) {
    if let Some((epoch, seq)) = id {
        writeln!(to, "id: {epoch}:{seq}").expect("memory takes it");
    }
    write!(to, "event: {word}\ndata: {json}\n\n").expect("memory takes it");
}
