//! A session, as any client would have one. It reads its socket only when asked for something, so a
//! test decides how slow a client is.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::DEADLINE;

/// What carries the bytes of a connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin> Stream for S {}

/// A connected session.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
    requests: u64,
    /// The first frame of the session.
    pub welcome: Value,
    /// Read while something else was waited for.
    pub answers: VecDeque<Value>,
    pub changes: VecDeque<Value>,
    pub broadcasts: VecDeque<Value>,
    pub notices: VecDeque<Value>,
    /// What named subscriptions were told, in the order it came.
    pub told: VecDeque<Value>,
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With this close code.
    Closed(u16),
    /// Without a word.
    Lost,
}

/// Close codes that tell a client to come back and go on.
pub const COME_BACK: std::ops::RangeInclusive<u16> = 4000..=4499;

impl Client {
    /// Connects and waits for the welcome.
    pub async fn connect(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let request = url.into_client_request()?;
        let address = request.uri().authority().unwrap().as_str();
        let stream = TcpStream::connect(address).await?;
        Self::over(Box::new(stream), url, headers).await
    }

    /// The same over a connection that is there.
    pub async fn over(
        stream: Box<dyn Stream>,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut client = Self::unwelcome(stream, url, headers).await?;
        client.welcome = client.frame().await.expect("a welcome");
        assert_eq!(client.welcome["type"], "welcome", "{}", client.welcome);
        Ok(client)
    }

    /// A socket that has heard nothing yet.
    pub async fn unwelcome(
        stream: Box<dyn Stream>,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let connecting = client_async(request, stream);
        let (socket, _) = tokio::time::timeout(DEADLINE, connecting)
            .await
            .expect("an answer to the handshake")?;
        Ok(Self {
            socket,
            requests: 0,
            welcome: Value::Null,
            answers: VecDeque::new(),
            changes: VecDeque::new(),
            broadcasts: VecDeque::new(),
            notices: VecDeque::new(),
            told: VecDeque::new(),
        })
    }

    /// The place in the log this session starts after.
    pub fn start(&self) -> u64 {
        self.welcome["seq"].as_u64().expect("welcome.seq")
    }

    pub async fn send_message(&mut self, message: Message) {
        let sending = self.socket.send(message);
        tokio::time::timeout(DEADLINE, sending)
            .await
            .expect("room to send")
            .unwrap();
    }

    pub async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    /// Sends many frames at once.
    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Value>) {
        for frame in frames {
            let feeding = self.socket.feed(Message::text(frame.to_string()));
            tokio::time::timeout(DEADLINE, feeding)
                .await
                .expect("room to send")
                .unwrap();
        }
        let flushing = self.socket.flush();
        tokio::time::timeout(DEADLINE, flushing)
            .await
            .expect("room to send")
            .unwrap();
    }

    /// Like [`send`](Self::send), but says whether it went out.
    pub async fn try_send(&mut self, frame: &Value) -> bool {
        let sending = self.socket.send(Message::text(frame.to_string()));
        matches!(tokio::time::timeout(DEADLINE, sending).await, Ok(Ok(())))
    }

    /// The next frame, whatever it is.
    pub async fn frame(&mut self) -> Result<Value, End> {
        self.frame_within(DEADLINE).await.unwrap_or_else(|| {
            panic!("nothing was heard for {DEADLINE:?}");
        })
    }

    /// The next frame, or `None` if nothing came.
    pub async fn frame_within(&mut self, wait: Duration) -> Option<Result<Value, End>> {
        let reading = async {
            loop {
                return match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(Some(frame)))) => Err(End::Closed(frame.code.into())),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => Err(End::Lost),
                    Some(Ok(other)) => panic!("a frame that is no text: {other:?}"),
                };
            }
        };
        tokio::time::timeout(wait, reading).await.ok()
    }

    /// Reads one frame and puts it with its kind.
    pub async fn read(&mut self) -> Result<(), End> {
        let frame = self.frame().await?;
        self.keep(frame);
        Ok(())
    }

    /// The same, if one comes in time.
    pub async fn read_within(&mut self, wait: Duration) -> Option<Result<(), End>> {
        let frame = self.frame_within(wait).await?;
        Some(frame.map(|frame| self.keep(frame)))
    }

    fn keep(&mut self, frame: Value) {
        let kept = match frame["type"].as_str() {
            Some(kind) if kind != "response" && frame.get("sub").is_some() => &mut self.told,
            Some("response" | "error") => &mut self.answers,
            Some("change") => &mut self.changes,
            Some("broadcast") => &mut self.broadcasts,
            Some("reset") => &mut self.notices,
            _ => panic!("a frame of no known type: {frame}"),
        };
        kept.push_back(frame);
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Value {
        self.try_answer().await.expect("an answer, not the end")
    }

    /// The next answer, or how the session ended.
    pub async fn try_answer(&mut self) -> Result<Value, End> {
        while self.answers.is_empty() {
            self.read().await?;
        }
        Ok(self.answers.pop_front().unwrap())
    }

    /// The next change.
    pub async fn change(&mut self) -> Value {
        while self.changes.is_empty() {
            self.read().await.expect("a change, not the end");
        }
        self.changes.pop_front().unwrap()
    }

    /// The next `count` changes.
    pub async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::with_capacity(count);
        while changes.len() < count {
            changes.push(self.change().await);
        }
        changes
    }

    /// The changes up to this place in the log: every one, once, in order, or the test fails.
    pub async fn changes_through(&mut self, last: u64) -> Vec<Value> {
        let mut changes: Vec<Value> = Vec::new();
        loop {
            let change = self.change().await;
            let seq = change["seq"].as_u64().unwrap();
            let before = changes
                .last()
                .map_or(seq - 1, |change| change["seq"].as_u64().unwrap());
            assert_eq!(seq, before + 1, "after {before} came {change}");
            changes.push(change);
            if seq >= last {
                return changes;
            }
        }
    }

    /// The next broadcast.
    pub async fn broadcast(&mut self) -> Value {
        while self.broadcasts.is_empty() {
            self.read().await.expect("a broadcast, not the end");
        }
        self.broadcasts.pop_front().unwrap()
    }

    /// The next `reset` or the like.
    pub async fn notice(&mut self) -> Value {
        while self.notices.is_empty() {
            self.read().await.expect("a notice, not the end");
        }
        self.notices.pop_front().unwrap()
    }

    /// The next of what named subscriptions are told.
    pub async fn next_told(&mut self) -> Value {
        while self.told.is_empty() {
            self.read().await.expect("a frame, not the end");
        }
        self.told.pop_front().unwrap()
    }

    /// Reads on in the background, as a client does that keeps up: an unread socket answers no ping.
    pub fn follow(mut self) -> Following {
        let (stop, mut stopped) = oneshot::channel();
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => return self,
                    read = self.read_within(DEADLINE) => {
                        assert!(!matches!(read, Some(Err(_))), "the session ended: {read:?}");
                    }
                }
            }
        });
        Following { reading, stop }
    }

    /// Reads on until the session ends.
    pub async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.read().await {
                return end;
            }
        }
    }

    /// Sends a request under an id of its own and waits for its answer.
    pub async fn request(&mut self, kind: &str, payload: Value) -> Value {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.send(&json!({"type": kind, "id": id, "payload": payload}))
            .await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(answer["request"], kind, "{answer}");
        answer
    }

    /// A request that must succeed: the whole answer.
    pub async fn ok(&mut self, kind: &str, payload: Value) -> Value {
        let answer = self.request(kind, payload).await;
        assert_eq!(answer["type"], "response", "{answer}");
        assert_eq!(answer["success"], true, "{answer}");
        answer
    }

    /// A request that must be refused: the error in the answer.
    pub async fn refused(&mut self, kind: &str, payload: Value) -> Value {
        error_of(&self.request(kind, payload).await)
    }

    /// Creates an event: its id and the place of its change in the log.
    pub async fn create(&mut self, fields: Value) -> (String, u64) {
        let answer = self.ok("CREATE", fields).await;
        let id = answer["data"]["_id"].as_str().expect("data._id");
        (id.to_owned(), answer["seq"].as_u64().expect("seq"))
    }

    /// Answers a ping and the like, and asks for one event that is not there: the session lives.
    pub async fn lives(&mut self) {
        let answer = self.ok("FETCH", json!({"filter": {"_id": "nobody"}})).await;
        assert_eq!(answer["data"], json!([]));
    }
}

/// A session that is read in the background.
#[derive(Debug)]
pub struct Following {
    reading: JoinHandle<Client>,
    stop: oneshot::Sender<()>,
}

impl Following {
    /// The session again, with all that it heard meanwhile.
    pub async fn back(self) -> Client {
        // Without a receiver the reading ended by a panic, which the handle tells.
        let _ = self.stop.send(());
        self.reading.await.unwrap()
    }
}

/// The error object of an error answer, after checking the answer's shape.
pub fn error_of(answer: &Value) -> Value {
    assert_eq!(answer["type"], "error", "{answer}");
    assert_eq!(answer["success"], false, "{answer}");
    let error = answer["error"].clone();
    assert!(error["code"].is_string(), "{answer}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{answer}"
    );
    assert!(error["retryable"].is_boolean(), "{answer}");
    error
}
