//! One connection's conversation, free of any transport: text comes in, frames go out.
//!
//! Requests are answered in the order they came. A FETCH begins only when the writes before it are
//! decided, so it sees them. Frames are pulled: a client that does not read costs nothing but the
//! requests it has in flight, and those are bounded.
//!
//! Beside its answers a session hears what its [`Listener`] hears, and its named subscriptions.

mod answers;
mod subscriptions;

use uuid::Uuid;

use crate::domain::Seq;
use crate::engine::Source;
use crate::feed::{Interest, Listener};
use crate::limits;
use crate::protocol::{self, Asked, Code, Failure, Frame, Name, Refused, Request};
use crate::service::Service;
use crate::store::Epoch;
use answers::{Answer, Answers, Pending, Subscribed};
use subscriptions::Subscriptions;

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
    /// Its share of the writer is its own.
    source: Source,
    answers: Answers,
    listener: Listener,
    subscriptions: Subscriptions,
    over: Option<Code>,
}

impl Session {
    /// Opens a session; the first frames are its greeting.
    ///
    /// # Errors
    /// If it takes the store to judge the position asked for, and the store cannot be reached.
    pub async fn open(service: Service, opening: Opening) -> Result<(Self, Vec<Frame>), Failure> {
        let stale = service.stale(opening.after, opening.epoch).await?;
        let after = opening.after.filter(|_| stale.is_none());
        let listener = service.listen(after, opening.interest);
        let seq = listener.seq();
        let mut greeting = vec![protocol::welcome(service.epoch().0, seq, Uuid::new_v4())];
        greeting.extend(stale.map(|reason| protocol::reset(reason, seq)));
        Ok((
            Self {
                service,
                source: Source::new(),
                answers: Answers::default(),
                listener,
                subscriptions: Subscriptions::default(),
                over: None,
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
            Err(Refused { id, name, failure }) => Pending::failed(id.as_ref(), name, &failure),
        };
        let bytes = text.len().max(pending.bytes_min());
        self.answers.push(pending, bytes);
    }

    /// Answers a message that is no text, or no message at all.
    pub fn refuse(&mut self, failure: &Failure) {
        self.answers.push(Pending::failed(None, None, failure), 0);
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
            () = self.listener.ready() => {}
            () = self.subscriptions.ready() => {}
        }
        self.answer(frames);
        if let Err(error) = self.listener.take(frames) {
            let failure = Failure::from(error);
            frames.push(protocol::error(None, None, &failure));
            self.over = Some(failure.code);
        }
        self.subscriptions.take(frames);
    }

    /// Why the session cannot go on, when it has said all that it can: then it is to be closed.
    pub fn over(&self) -> Option<Code> {
        self.over
    }

    /// Waits until every request that was taken in is answered.
    pub async fn finish(&mut self, frames: &mut Vec<Frame>) {
        while !self.answers.is_empty() {
            self.answers.ready().await;
            self.answer(frames);
        }
    }

    /// Gives the answers that are ready. What a request does to the session itself is done here, so that
    /// its requests take effect in the order of their answers.
    fn answer(&mut self, frames: &mut Vec<Frame>) {
        while let Some(answer) = self.answers.pop() {
            match answer {
                Answer::Frame(frame) => frames.push(frame),
                Answer::Subscribed(subscribed) => self.subscribed(*subscribed, frames),
                Answer::Unsubscribe(id, sub) => {
                    let known = self.subscriptions.remove(&sub);
                    frames.push(match known {
                        true => protocol::unsubscribed(id.as_ref(), &sub),
                        false => {
                            let message = format!("there is no subscription {}", sub.as_str());
                            let failure = Failure::new(Code::NotFound, message);
                            protocol::error(id.as_ref(), Some(Name::Unsubscribe), &failure)
                        }
                    });
                }
            }
        }
    }

    fn subscribed(&mut self, subscribed: Subscribed, frames: &mut Vec<Frame>) {
        let Subscribed {
            id,
            sub,
            subscription,
            stale,
        } = subscribed;
        if let Err(failure) = self.subscriptions.check(&sub, subscription.filter_weight()) {
            let error = protocol::error(id.as_ref(), Some(Name::Subscribe), &failure);
            return frames.push(error);
        }
        let seq = subscription.seq();
        frames.push(protocol::subscribed(id.as_ref(), &sub, seq));
        frames.extend(stale.map(|reason| protocol::reset(reason, seq).of(&sub)));
        self.subscriptions.add(sub, subscription);
    }

    fn begin(&self, asked: Asked, bytes: usize) -> Pending {
        let Asked { id, name, request } = asked;
        let begun = match request {
            Request::Write(order) => self
                .service
                .submit(&self.source, order, bytes)
                .map(Pending::write(id.clone(), name)),
            Request::Broadcast(payload) => self
                .service
                .announce(&self.source, payload)
                .map(Pending::announcement(id.clone())),
            Request::Fetch(query) => Ok(Pending::fetch(self.service.clone(), id.clone(), query)),
            Request::Subscribe(sub, asked) => {
                let (service, bell) = (self.service.clone(), self.subscriptions.bell());
                Ok(Pending::subscribe(service, id.clone(), sub, asked, bell))
            }
            Request::Unsubscribe(sub) => Ok(Pending::Ready(Answer::Unsubscribe(id.clone(), sub))),
        };
        begun.unwrap_or_else(|failure| Pending::failed(id.as_ref(), Some(name), &failure))
    }
}
