//! One connection's conversation, free of any transport: text comes in, frames go out.
//!
//! Requests are answered in the order they came. A FETCH begins only when the writes before it are
//! decided, so it sees them. Frames are pulled: a client that does not read costs nothing but the
//! requests it has in flight, and those are bounded.

mod answers;

use uuid::Uuid;

use crate::domain::Seq;
use crate::feed::{Interest, Subscription};
use crate::limits;
use crate::protocol::{self, Asked, Code, Failure, Frame, Refused, Request};
use crate::service::Service;
use crate::store::Epoch;
use answers::{Answers, Pending};

/// What a client asks for when it connects.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Whether it wants every change.
    pub interest: Interest,
    /// The position to resume from; `None` is from now on.
    pub after: Option<Seq>,
    /// The log that position belongs to, if the client says.
    pub epoch: Option<Epoch>,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    service: Service,
    answers: Answers,
    subscription: Subscription,
}

impl Session {
    /// Opens a session; the first frames are its greeting.
    ///
    /// # Errors
    /// If it takes the store to judge the position asked for, and the store cannot be reached.
    pub async fn open(service: Service, opening: Opening) -> Result<(Self, Vec<Frame>), Failure> {
        let stale = stale(&service, opening).await?;
        let after = if stale.is_some() { None } else { opening.after };
        let subscription = service.subscribe(after, opening.interest);
        let seq = subscription.seq();
        let mut greeting = vec![protocol::welcome(service.epoch().0, seq, Uuid::new_v4())];
        greeting.extend(stale.map(|reason| protocol::reset(reason, seq)));
        Ok((
            Self {
                service,
                answers: Answers::default(),
                subscription,
            },
            greeting,
        ))
    }

    /// Takes in one message. Its answer comes out of [`next`](Self::next).
    pub fn receive(&mut self, text: &str) {
        if text.len() > limits::MESSAGE_BYTES_MAX {
            let message = format!(
                "messages must not exceed {} bytes",
                limits::MESSAGE_BYTES_MAX
            );
            return self.refuse(&Failure::new(Code::MessageTooLarge, message));
        }
        let pending = match Asked::parse(text) {
            Ok(asked) => self.begin(asked, text.len()),
            Err(Refused { id, name, failure }) => {
                Pending::Ready(protocol::error(id.as_ref(), name, &failure))
            }
        };
        let bytes = text.len().max(pending.bytes_min());
        self.answers.push(pending, bytes);
    }

    /// Answers a message that is no text, or no message at all.
    pub fn refuse(&mut self, failure: &Failure) {
        self.answers
            .push(Pending::Ready(protocol::error(None, None, failure)), 0);
    }

    /// Whether another message may be taken in now; otherwise once [`next`](Self::next) has answered some.
    pub fn has_room(&self) -> bool {
        self.answers.have_room()
    }

    /// Waits for frames and adds those that are there, up to about one flush. Safe to drop and call again.
    pub async fn next(&mut self, frames: &mut Vec<Frame>) {
        tokio::select! {
            biased;
            () = self.answers.ready() => {}
            () = self.subscription.ready() => {}
        }
        self.answers.take(frames);
        self.subscription.take(frames);
    }

    /// Waits until every request that was taken in is answered.
    pub async fn finish(&mut self, frames: &mut Vec<Frame>) {
        while !self.answers.is_empty() {
            self.answers.ready().await;
            self.answers.take(frames);
        }
    }

    fn begin(&self, asked: Asked, bytes: usize) -> Pending {
        let Asked { id, name, request } = asked;
        let begun = match request {
            Request::Write(command) => self
                .service
                .submit(command, bytes)
                .map(Pending::write(id.clone(), name)),
            Request::Broadcast(payload) => self
                .service
                .announce(payload)
                .map(Pending::announcement(id.clone(), name)),
            Request::Fetch(query) => Ok(Pending::fetch(self.service.clone(), id.clone(), query)),
        };
        begun.unwrap_or_else(|failure| {
            Pending::Ready(protocol::error(id.as_ref(), Some(name), &failure))
        })
    }
}

/// Why the position asked for is none of this log. One ahead of this node's feed may come from a node
/// that is further: the store knows.
async fn stale(service: &Service, opening: Opening) -> Result<Option<&'static str>, Failure> {
    if opening.epoch.is_some_and(|epoch| epoch != service.epoch()) {
        return Ok(Some("another epoch"));
    }
    match opening.after {
        Some(after) if after > service.seq() => {
            let head = service.head().await?;
            Ok((after > head).then_some("ahead of the log"))
        }
        _ => Ok(None),
    }
}
