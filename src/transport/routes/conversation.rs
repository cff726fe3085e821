//! What is spoken over a WebSocket: a session as it is, or in the words of Socket.IO.

use std::convert::Infallible;
use std::future::Future;

use crate::node::Transport;
use crate::protocol::{Code, Failure};
use crate::session::{Outbox, Session};

/// One client's conversation, as its connection drives it. The futures can be dropped and made again.
pub(crate) trait Conversation: Send + 'static {
    /// How it is counted.
    const TRANSPORT: Transport;

    /// Accepts one message.
    fn receive(&mut self, text: &str);

    /// Accepts one message that is not text.
    fn receive_binary(&mut self);

    /// Whether another message may be received now.
    fn has_room(&self) -> bool;

    /// Waits for frames and adds them, up to about one flush.
    fn next(&mut self, outbox: &mut Outbox) -> impl Future<Output = ()> + Send;

    /// Why it cannot go on.
    fn end(&self) -> Option<Code>;

    /// Completes answers while the client does not read them.
    fn complete_answers(&mut self) -> impl Future<Output = Infallible> + Send;

    /// Whether everything that was received is answered.
    fn is_drained(&self) -> bool;

    /// Waits for the next answers alone.
    fn drain(&mut self, outbox: &mut Outbox) -> impl Future<Output = ()> + Send;
}

impl Conversation for Session {
    const TRANSPORT: Transport = Transport::WebSocket;

    fn receive(&mut self, text: &str) {
        self.receive(text);
    }

    fn receive_binary(&mut self) {
        let message = "messages are JSON in text frames";
        self.refuse(None, &Failure::new(Code::BinaryFrame, message));
    }

    fn has_room(&self) -> bool {
        self.has_room()
    }

    async fn next(&mut self, outbox: &mut Outbox) {
        self.next(outbox).await;
    }

    fn end(&self) -> Option<Code> {
        self.end()
    }

    async fn complete_answers(&mut self) -> Infallible {
        self.complete_answers().await
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }

    async fn drain(&mut self, outbox: &mut Outbox) {
        self.drain(outbox).await;
    }
}
