//! A WebSocket that a client opens beside its polling. It proves that the WebSocket works, and then takes the client over
//! from the task of its [`PollingSession`](super::polling::PollingSession), with all that is not sent yet.
//!
//! | state     | the client sends | next state                                     |
//! |-----------|------------------|------------------------------------------------|
//! | `Probing` | `2probe`         | `Probing`; polls are answered at once from here |
//! |           | `5`              | `Taking`                                       |
//! | `Taking`  | (is not read)    | `Taken`, when the task has handed it over      |
//! | `Taken`   | as ever          |                                                |

use std::convert::Infallible;
use std::future::pending;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::client::SocketIoClient;
use super::polling::{HandedOver, PollingRequest};
use crate::limits;
use crate::node::Transport;
use crate::protocol::socketio;
use crate::protocol::socketio::ClientPacket;
use crate::protocol::{Code, Frame};
use crate::session::Outbox;
use crate::transport::routes::conversation::Conversation;

/// A client on its way from polling to a WebSocket; see the [module](self).
pub(super) struct UpgradingClient {
    polling: mpsc::Sender<PollingRequest>,
    state: UpgradeState,
    deadline: Instant,
    has_failed: bool,
}

enum UpgradeState {
    Probing {
        answer: Option<Frame>,
        /// As long as it lives, polls are answered at once.
        probe: Option<oneshot::Sender<Infallible>>,
    },
    Taking(oneshot::Receiver<HandedOver>),
    Taken(Box<SocketIoClient>),
}

impl UpgradingClient {
    pub(super) fn new(polling: mpsc::Sender<PollingRequest>) -> Self {
        Self {
            polling,
            state: UpgradeState::Probing {
                answer: None,
                probe: None,
            },
            deadline: Instant::now() + limits::SOCKETIO_CONNECT_DEADLINE,
            has_failed: false,
        }
    }

    /// Asks the task of the polling session, which has little to do.
    fn ask(&mut self, request: PollingRequest) {
        self.has_failed |= self.polling.try_send(request).is_err();
    }

    fn probe(&mut self) {
        let (probe, watched) = oneshot::channel();
        self.state = UpgradeState::Probing {
            answer: Some(socketio::probed()),
            probe: Some(probe),
        };
        self.ask(PollingRequest::Probe(watched));
    }

    fn take(&mut self) {
        let (hand_over, taking) = oneshot::channel();
        self.state = UpgradeState::Taking(taking);
        self.ask(PollingRequest::Upgrade(hand_over));
    }
}

impl Conversation for UpgradingClient {
    const TRANSPORT: Transport = Transport::SocketIo;

    fn receive(&mut self, text: &str) {
        match (&mut self.state, ClientPacket::parse(text)) {
            (UpgradeState::Taken(client), _) => client.receive(text),
            (UpgradeState::Probing { .. }, ClientPacket::Probe) => self.probe(),
            (UpgradeState::Probing { probe: Some(_), .. }, ClientPacket::Upgrade) => self.take(),
            // What is not of the upgrade belongs to the transport that the client still has.
            _ => {}
        }
    }

    fn receive_binary(&mut self) {
        if let UpgradeState::Taken(client) = &mut self.state {
            client.receive_binary();
        }
    }

    fn has_room(&self) -> bool {
        match &self.state {
            UpgradeState::Probing { answer, .. } => answer.is_none(),
            UpgradeState::Taking(_) => false,
            UpgradeState::Taken(client) => client.has_room(),
        }
    }

    async fn next(&mut self, outbox: &mut Outbox) {
        match &mut self.state {
            UpgradeState::Probing { answer, .. } => match answer.take() {
                Some(answer) => outbox.push(answer, None),
                None => {
                    sleep_until(self.deadline).await;
                    self.has_failed = true;
                }
            },
            UpgradeState::Taking(taking) => match taking.await {
                Ok(HandedOver { client, unsent }) => {
                    outbox.append(unsent);
                    self.state = UpgradeState::Taken(client);
                }
                Err(_) => self.has_failed = true,
            },
            UpgradeState::Taken(client) => client.next(outbox).await,
        }
    }

    fn end(&self) -> Option<Code> {
        match &self.state {
            UpgradeState::Taken(client) => client.end(),
            _ => self.has_failed.then_some(Code::TimedOut),
        }
    }

    async fn complete_answers(&mut self) -> Infallible {
        match &mut self.state {
            UpgradeState::Taken(client) => client.complete_answers().await,
            _ => pending().await,
        }
    }

    fn is_drained(&self) -> bool {
        match &self.state {
            UpgradeState::Taken(client) => client.is_drained(),
            _ => true,
        }
    }

    async fn drain(&mut self, outbox: &mut Outbox) {
        if let UpgradeState::Taken(client) = &mut self.state {
            client.drain(outbox).await;
        }
    }
}
