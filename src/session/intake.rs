//! What is done about a message: parsed, counted in the quota, and started or refused.

use super::answers::{Answer, AnswerState};
use super::reads::Read;
use super::{Session, label};
use crate::limits;
use crate::protocol::{Code, Failure, ParsedRequest, RefusedRequest, Request, RequestKind};

impl Session {
    /// Accepts one message. [`next`](Self::next) yields its answer.
    pub fn receive(&mut self, text: &str) {
        if text.len() > limits::MESSAGE_BYTES_MAX {
            let message = format!(
                "messages must not exceed {} bytes",
                limits::MESSAGE_BYTES_MAX
            );
            return self.refuse(None, &Failure::new(Code::MessageTooLarge, message));
        }
        let state = match ParsedRequest::parse(text) {
            Ok(request) => match self.start_within_quota(request, text.len()) {
                Some(state) => state,
                None => return,
            },
            Err(refused) => self.refused(refused, text.len()),
        };
        self.answers.push(state, text.len());
    }

    /// Answers a message that is not text, or not a message at all; `kind` is what it asks for, as far as is known.
    pub fn refuse(&mut self, kind: Option<RequestKind>, failure: &Failure) {
        self.node.count(label(kind), Err(failure));
        self.answers
            .push(AnswerState::failed(None, kind, failure), 0);
    }

    /// Starts a request of so many bytes, within the quota. It is refused here, where it is parsed, so that the answer repeats
    /// its id. A PING is part of no quota, since it asks whether the session lives, and neither is an AUTH, since it must.
    ///
    /// `None` if it is answered beside the queue.
    fn start_within_quota(&mut self, request: ParsedRequest, bytes: usize) -> Option<AnswerState> {
        let received = match request.request {
            Request::Ping | Request::Auth(_) => Ok(()),
            _ => self.node.receive(bytes),
        };
        let Err(failure) = received else {
            return self.start(request);
        };
        let ParsedRequest { id, kind, .. } = request;
        self.node.count(kind.as_str(), Err(&failure));
        Some(AnswerState::failed(id.as_ref(), Some(kind), &failure))
    }

    /// The answer to what is no request, and takes of the quota as one.
    fn refused(&self, request: RefusedRequest, bytes: usize) -> AnswerState {
        let RefusedRequest { id, kind, failure } = request;
        let failure: Failure = self.node.receive(bytes).err().unwrap_or(failure);
        self.node.count(label(kind), Err(&failure));
        AnswerState::failed(id.as_ref(), kind, &failure)
    }

    /// `None` if it is answered beside the queue.
    fn start(&mut self, request: ParsedRequest) -> Option<AnswerState> {
        let ParsedRequest { id, kind, request } = request;
        let started = match request {
            Request::Write(batch) => self
                .node
                .submit(batch)
                .map(AnswerState::write(id.clone(), kind)),
            Request::Broadcast(payload) => self
                .node
                .publish(payload)
                .map(AnswerState::broadcast(id.clone())),
            Request::Fetch(fetch) => {
                let read = Read::Fetch(fetch);
                Ok(self.read(id.clone(), read))
            }
            Request::Subscribe(sub, subscribe) => {
                let read = Read::Subscribe(sub, subscribe, self.subscriptions.wakeup());
                Ok(self.read(id.clone(), read))
            }
            Request::Unsubscribe(sub) => {
                Ok(AnswerState::Ready(Answer::Unsubscribe(id.clone(), sub)))
            }
            Request::Auth(credentials) => {
                self.is_authenticating = true;
                Ok(self.read(id.clone(), Read::Auth(self.admission.guard(), credentials)))
            }
            Request::Ping => {
                self.node.count(kind.as_str(), Ok(()));
                self.pings.push_back(id);
                return None;
            }
        };
        Some(started.unwrap_or_else(|failure| {
            self.node.count(kind.as_str(), Err(&failure));
            AnswerState::failed(id.as_ref(), Some(kind), &failure)
        }))
    }
}
