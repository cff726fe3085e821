//! A client with a socket and no session yet: it has to show who it is first, and is told nothing before.
//!
//! | state     | ends with                           | next state                     |
//! |-----------|-------------------------------------|--------------------------------|
//! | `Waiting` | AUTH                                | `Opening`                      |
//! |           | anything else, or [`limits::AUTH_DEADLINE`] | the connection is closed |
//! | `Opening` | credentials that are good           | `Open`                         |
//! |           | any others                          | the connection is closed       |
//! | `Open`    | is the session                      |                                |

use std::convert::Infallible;
use std::future::pending;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::conversation::Conversation;
use crate::guard::Guard;
use crate::limits;
use crate::node::{Node, Transport};
use crate::protocol;
use crate::protocol::{
    Code, Credentials, Failure, Frame, ParsedRequest, RefusedRequest, Request, RequestId,
    RequestKind,
};
use crate::quota::{Caller, LobbySeat};
use crate::session::{Outbox, Session, SessionOptions};
use crate::transport::http::admission::admit;

/// A client that has yet to show who it is; see the [module](self).
pub(super) struct Visitor {
    node: Node,
    guard: Guard,
    caller: Caller,
    /// Until it is let in.
    seat: Option<LobbySeat>,
    options: SessionOptions,
    state: VisitorState,
}

enum VisitorState {
    /// Until then it may say who it is.
    Waiting(Instant),
    Opening(BoxFuture<'static, (Frame, OpenedSession)>),
    Open(Box<Session>),
    /// This is said before it is closed.
    Refused(Option<Frame>, Code),
}

/// A session with its greeting, or why there is none.
type OpenedSession = Result<(Box<Session>, Vec<Frame>), Code>;

impl Visitor {
    pub(super) fn new(
        node: Node,
        guard: Guard,
        caller: Caller,
        seat: LobbySeat,
        options: SessionOptions,
    ) -> Self {
        Self {
            node,
            guard,
            caller,
            seat: Some(seat),
            options,
            state: VisitorState::Waiting(Instant::now() + limits::AUTH_DEADLINE),
        }
    }

    fn open(&mut self, id: Option<RequestId>, credentials: Credentials) {
        let (node, guard, options) = (self.node.clone(), self.guard.clone(), self.options);
        let caller = self.caller.clone();
        let opening = async move {
            match open(node, guard, caller, options, id.as_ref(), credentials).await {
                Ok((answer, session, greeting)) => (answer, Ok((session, greeting))),
                Err(failure) => {
                    let kind = Some(RequestKind::Auth);
                    let error = protocol::error(id.as_ref(), kind, &failure);
                    (error, Err(failure.code.as_end()))
                }
            }
        };
        self.state = VisitorState::Opening(Box::pin(opening));
    }

    fn refuse(&mut self, id: Option<&RequestId>, kind: Option<RequestKind>, failure: &Failure) {
        let error = protocol::error(id, kind, failure);
        self.state = VisitorState::Refused(Some(error), Code::Unauthenticated);
    }

    fn hear(&mut self, text: &str) {
        match ParsedRequest::parse(text) {
            Ok(ParsedRequest {
                id,
                request: Request::Auth(credentials),
                ..
            }) => self.open(id, credentials),
            Ok(ParsedRequest { id, kind, .. }) => {
                self.refuse(id.as_ref(), Some(kind), &first_auth());
            }
            Err(RefusedRequest {
                id,
                kind: kind @ Some(RequestKind::Auth),
                failure,
            }) => self.refuse(id.as_ref(), kind, &failure),
            Err(RefusedRequest { id, kind, .. }) => self.refuse(id.as_ref(), kind, &first_auth()),
        }
    }
}

async fn open(
    node: Node,
    guard: Guard,
    caller: Caller,
    options: SessionOptions,
    id: Option<&RequestId>,
    credentials: Credentials,
) -> Result<(Frame, Box<Session>, Vec<Frame>), Failure> {
    let admission = admit(&node, &guard, &caller, credentials).await?;
    let answer = protocol::authenticated(id, &admission.shown());
    let (session, greeting) = Session::open(node, admission, &caller, options).await?;
    Ok((answer, Box::new(session), greeting))
}

fn first_auth() -> Failure {
    let message = "say who you are first: an AUTH with a token or an API key";
    Failure::new(Code::Unauthenticated, message)
}

impl Conversation for Visitor {
    const TRANSPORT: Transport = Transport::WebSocket;

    fn receive(&mut self, text: &str) {
        match &mut self.state {
            VisitorState::Waiting(_) => self.hear(text),
            VisitorState::Open(session) => Conversation::receive(&mut **session, text),
            VisitorState::Opening(_) | VisitorState::Refused(..) => {}
        }
    }

    fn receive_binary(&mut self) {
        match &mut self.state {
            VisitorState::Waiting(_) => self.refuse(None, None, &first_auth()),
            VisitorState::Open(session) => session.receive_binary(),
            VisitorState::Opening(_) | VisitorState::Refused(..) => {}
        }
    }

    fn has_room(&self) -> bool {
        match &self.state {
            VisitorState::Waiting(_) => true,
            VisitorState::Opening(_) | VisitorState::Refused(..) => false,
            VisitorState::Open(session) => session.has_room(),
        }
    }

    async fn next(&mut self, outbox: &mut Outbox) {
        match &mut self.state {
            VisitorState::Waiting(deadline) => {
                sleep_until(*deadline).await;
                self.state = VisitorState::Refused(None, Code::Unauthenticated);
            }
            VisitorState::Opening(opening) => {
                let (answer, opened) = opening.await;
                outbox.push(answer, None);
                self.seat = None;
                self.state = match opened {
                    Ok((session, greeting)) => {
                        outbox.extend(greeting);
                        VisitorState::Open(session)
                    }
                    Err(code) => VisitorState::Refused(None, code),
                };
            }
            VisitorState::Open(session) => session.next(outbox).await,
            VisitorState::Refused(error, _) => outbox.extend(error.take()),
        }
    }

    fn end(&self) -> Option<Code> {
        match &self.state {
            VisitorState::Waiting(_) | VisitorState::Opening(_) => None,
            VisitorState::Open(session) => session.end(),
            VisitorState::Refused(error, code) => error.is_none().then_some(*code),
        }
    }

    async fn complete_answers(&mut self) -> Infallible {
        match &mut self.state {
            VisitorState::Open(session) => session.complete_answers().await,
            _ => pending().await,
        }
    }

    fn is_drained(&self) -> bool {
        match &self.state {
            VisitorState::Open(session) => session.is_drained(),
            _ => true,
        }
    }

    async fn drain(&mut self, outbox: &mut Outbox) {
        if let VisitorState::Open(session) = &mut self.state {
            session.drain(outbox).await;
        }
    }
}
