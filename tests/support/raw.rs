//! A client that sends any bytes and reads one answer, for what no library would send.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::{DEADLINE, Server};

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// JSON, where the answer has a length and is JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

/// Sends these bytes on a connection of their own, and reads the answer while it does.
pub async fn ask(server: &Server, bytes: &[u8]) -> Answer {
    let (mut reading, mut writing) = split(server.dial().await);
    let sending = async {
        // A server that has heard enough need not hear all.
        let _ = writing.write_all(bytes).await;
    };
    let is_head = bytes.starts_with(b"HEAD ");
    let (answer, ()) = tokio::join!(read(&mut reading, is_head), sending);
    answer
}

/// Reads one answer. Of one without a length, the head alone.
pub async fn read(reading: &mut (impl AsyncReadExt + Unpin), is_head: bool) -> Answer {
    tokio::time::timeout(DEADLINE, async {
        let mut said = Vec::new();
        let end = loop {
            if let Some(at) = said.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            more(reading, &mut said).await;
        };
        let head = String::from_utf8(said[..end].to_vec()).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok()).expect(&head);
        let pairs = lines.map(|line| line.split_once(": ").expect(line));
        let headers: BTreeMap<String, String> = pairs
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").filter(|_| !is_head);
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while said.len() < end + 4 + length {
            more(reading, &mut said).await;
        }
        let text = String::from_utf8(said[end + 4..][..length].to_vec()).expect("a body is text");
        Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    })
    .await
    .expect("an answer in time")
}

async fn more(reading: &mut (impl AsyncReadExt + Unpin), said: &mut Vec<u8>) {
    let read = reading
        .read_buf(said)
        .await
        .expect("an answer, not a reset");
    let so_far = String::from_utf8_lossy(said);
    assert!(read > 0, "it ended: {so_far}");
}
