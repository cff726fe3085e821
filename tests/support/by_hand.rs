//! A WebSocket by hand, for what no client library would do: half messages, floods, reading at a rate.

use std::io::Cursor;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{DEADLINE, Server};

/// Masking with zeros is masking.
const MASK: [u8; 4] = [0; 4];

/// Pieces a second in which one reads or writes at a rate.
const PIECES_PER_SECOND: usize = 20;

/// A TCP connection to a server, which speaks WebSocket or HTTP as the test says.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// What was read and not looked at.
    bytes: Vec<u8>,
}

/// What was heard of a WebSocket.
#[derive(Debug, Default)]
pub struct Heard {
    pub messages: Vec<Value>,
    /// The code of the close frame, if one came.
    pub closed: Option<u16>,
}

impl Raw {
    /// Connects, with a small buffer of its own, and sends the head of a request.
    pub async fn open(server: &Server, head: &str) -> Self {
        let mut new = Self::silent(server).await;
        let head = format!("{head}\r\nHost: {}\r\n\r\n", server.address());
        new.send(head.as_bytes()).await;
        new
    }

    /// Connects, and sends nothing.
    pub async fn silent(server: &Server) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = socket.connect(server.address().parse().unwrap()).await;
        Self {
            stream: stream.unwrap(),
            bytes: Vec::new(),
        }
    }

    /// A session by this path, after the handshake.
    pub async fn session(server: &Server, path: &str) -> Self {
        let head = format!(
            "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        );
        let mut new = Self::open(server, &head).await;
        let head = new.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        new
    }

    /// The head of the answer.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.bytes.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read(1024).await > 0, "it ended");
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let sending = timeout(DEADLINE, self.stream.write_all(bytes));
        sending.await.expect("room to send").unwrap();
    }

    /// Like [`send`](Self::send), but says whether the server took it in time.
    pub async fn try_send(&mut self, bytes: &[u8], within: Duration) -> bool {
        matches!(
            timeout(within, self.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    /// Sends so many bytes a second.
    pub async fn send_at(&mut self, rate: usize, bytes: &[u8]) {
        let mut next = Instant::now();
        for piece in bytes.chunks(rate / PIECES_PER_SECOND) {
            self.send(piece).await;
            next += Duration::from_secs(1) / u32::try_from(PIECES_PER_SECOND).unwrap();
            sleep_until(next).await;
        }
    }

    /// Reads at most so many bytes a second for a while, or until the server ends it: whether it did.
    pub async fn read_at(&mut self, rate: usize, during: Duration) -> bool {
        let end = Instant::now() + during;
        let mut next = Instant::now();
        while Instant::now() < end {
            match timeout_at(end, self.read(rate / PIECES_PER_SECOND)).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            next += Duration::from_secs(1) / u32::try_from(PIECES_PER_SECOND).unwrap();
            sleep_until(next).await;
        }
        false
    }

    /// Reads some; none means that it has ended.
    async fn read(&mut self, most: usize) -> usize {
        let mut piece = vec![0; most];
        let reading = timeout(DEADLINE, self.stream.read(&mut piece));
        let read = reading.await.expect("something to read").unwrap_or(0);
        self.bytes.extend_from_slice(&piece[..read]);
        read
    }

    /// Reads on as fast as it can until `enough`, or the end; all that was read.
    pub async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> &[u8] {
        while !enough(&self.bytes) && self.read(256 * 1024).await > 0 {}
        &self.bytes
    }

    /// What all the bytes say that were read by now and are whole frames.
    pub fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        let (mut at, mut message) = (0, Vec::new());
        loop {
            let mut cursor = Cursor::new(&self.bytes[at..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).unwrap() else {
                return heard;
            };
            let start = at + usize::try_from(cursor.position()).unwrap();
            at = start + usize::try_from(length).unwrap();
            let Some(payload) = self.bytes.get(start..at) else {
                return heard;
            };
            match header.opcode {
                OpCode::Control(Control::Close) => {
                    heard.closed = Some(u16::from_be_bytes([payload[0], payload[1]]));
                }
                OpCode::Control(_) => {}
                OpCode::Data(_) => message.extend_from_slice(payload),
            }
            if header.is_final && matches!(header.opcode, OpCode::Data(_)) {
                let text = std::mem::take(&mut message);
                heard.messages.push(serde_json::from_slice(&text).unwrap());
            }
        }
    }
}

/// A client's frame; a message may have several.
pub fn frame(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
    let header = FrameHeader {
        opcode,
        is_final,
        mask: Some(MASK),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    header.format(payload.len() as u64, &mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

/// A message in one frame.
pub fn message(text: &str) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), text.as_bytes(), true)
}
