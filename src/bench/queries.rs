//! Scenario `queries`: how soon a server with many events answers: one question at a time, and snapshots all at once.
//!
//! Which indexes the server has, decides most of it, and it is the operator who declares them: `--index owner`,
//! `--index=-due`, `--index=-_createdAt` help with what is asked here.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::address::{Address, Changes};
use super::client::Client;
use super::connection::{BenchConnection, open_many};
use super::message;
use super::message::Message;
use super::report::BenchReport;
use super::stats::{Durations, rate};
use super::{GRACE, tls, tokens, within};

/// Events in one BATCH, and those under way.
const BATCH_COUNT: u64 = 100;
const UNANSWERED_MAX: u64 = 1_000;

/// Events of one owner.
const HITS: u64 = 100;

/// Fills an event up to about 440 bytes.
const TEXT: &str = "the quick brown fox jumps over the lazy dog and runs away ";
const TEXTS: usize = 6;

/// Events are created at least as fast as this.
const FILLING_RATE: u64 = 1_000;

/// An answer takes no longer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug, Clone)]
pub(super) struct QueriesOptions {
    /// Events to create before anything is asked
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(HITS..=100_000_000))]
    events: u64,

    /// How often each question is asked
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,

    /// Sessions that begin with a snapshot at once, each of another owner
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,
}

impl QueriesOptions {
    pub(super) fn connections(&self) -> u32 {
        self.sessions + 3
    }
}

/// A question; `OWNER` in it is another owner each time.
enum Question {
    Fetch(&'static str),
    /// Up to `live`.
    Snapshot(&'static str),
    Stats(&'static str),
}

const QUESTIONS: [(&str, Question); 13] = [
    (
        "equality, 100 hits",
        Question::Fetch(r#""filter":{"owner":"OWNER"},"limit":100"#),
    ),
    (
        "sorted page of 20",
        Question::Fetch(r#""sort":{"due":-1},"limit":20"#),
    ),
    (
        "latest 20",
        Question::Fetch(r#""sort":{"_createdAt":-1},"limit":20"#),
    ),
    (
        "20 of an owner, sorted",
        Question::Fetch(r#""filter":{"owner":"OWNER"},"sort":{"due":1},"limit":20"#),
    ),
    (
        "20 of a third, sorted",
        Question::Fetch(r#""filter":{"status":"open"},"sort":{"due":1},"limit":20"#),
    ),
    ("first 100", Question::Fetch(r#""limit":100"#)),
    (
        "snapshot until live",
        Question::Snapshot(r#"{"owner":"OWNER"}"#),
    ),
    (
        "count of 100",
        Question::Fetch(r#""filter":{"owner":"OWNER"},"count":true,"limit":0"#),
    ),
    (
        "count of half of all",
        Question::Fetch(r#""filter":{"due":{"$lt":500}},"count":true,"limit":0"#),
    ),
    ("count of all", Question::Fetch(r#""count":true,"limit":0"#)),
    (
        "count by judging",
        Question::Fetch(r#""filter":{"status":"open"},"count":true,"limit":0"#),
    ),
    ("stats of 100", Question::Stats(r#"{"owner":"OWNER"}"#)),
    ("stats of all", Question::Stats("{}")),
];

pub(super) async fn run(urls: &[Address], options: QueriesOptions) -> Result<BenchReport> {
    let filling = Duration::from_secs(options.events / FILLING_RATE);
    let asking = ANSWER_DEADLINE * options.times * u32::try_from(QUESTIONS.len())?;
    let limit = filling + asking + GRACE;
    within(
        limit,
        "creating events and asking for them",
        ask(urls, &options),
    )
    .await
}

async fn ask(urls: &[Address], options: &QueriesOptions) -> Result<BenchReport> {
    let address = urls.first().context("no --url")?;
    let events = EventWriter::new(options.events);
    let mut client = Client::new(BenchConnection::open(address, Changes::None).await?);
    let began = Instant::now();
    events.fill(&mut client).await?;
    let mut report = BenchReport::new("queries");
    report.row("events", events.count, "");
    report.row("created", rate(events.count, began.elapsed()), "events/s");
    let mut connection = BenchConnection::open(address, Changes::None).await?;
    for (name, question) in QUESTIONS {
        let mut took = Durations::default();
        for turn in 0..options.times {
            let owner = events.owner(u64::from(turn) * 7919);
            let answering = question.answer(&owner, address, &mut connection);
            let what = format!("the answer to \"{name}\"");
            took.add(within(ANSWER_DEADLINE, &what, answering).await?);
        }
        report.percentiles(name, &mut took, &[50, 99]);
    }
    let (all, mut each) = snapshots(urls, &events, options.sessions).await?;
    report.row("snapshots at once", options.sessions, "");
    report.row("snapshots at once, all", all.as_secs_f64() * 1_000.0, "ms");
    report.percentiles("snapshots at once, each", &mut each, &[50, 99]);
    Ok(report)
}

/// Each session subscribes to another owner's events from a snapshot on, all at once: how long until the last was live,
/// and how long each took.
async fn snapshots(
    urls: &[Address],
    events: &EventWriter,
    sessions: u32,
) -> Result<(Duration, Durations)> {
    let opened = open_many(urls, sessions, Changes::None).await?;
    let began = Instant::now();
    let taking = (0..).zip(opened).map(|(turn, mut session)| async move {
        let owner = events.owner(turn * 7919);
        let took = snapshot(&mut session, &format!(r#"{{"owner":"{owner}"}}"#)).await?;
        anyhow::Ok((session, took))
    });
    let taking = try_join_all(taking);
    let taken = within(ANSWER_DEADLINE, "all snapshots", taking).await?;
    let all = began.elapsed();
    let mut each = Durations::default();
    taken.iter().for_each(|(_, took)| each.add(*took));
    Ok((all, each))
}

/// Events, of which each owner has [`HITS`].
struct EventWriter {
    run: String,
    count: u64,
}

impl EventWriter {
    fn new(count: u64) -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        Self { run, count }
    }

    /// The owner of an event, and of others.
    fn owner(&self, number: u64) -> String {
        let owners = (self.count / HITS).max(1);
        format!("{}-{}", self.run, number % owners)
    }

    async fn fill(&self, client: &mut Client) -> Result<()> {
        let mut first = 0;
        while first < self.count {
            let end = (first + UNANSWERED_MAX).min(self.count);
            let batches = (first..end).step_by(usize::try_from(BATCH_COUNT)?);
            let write = |out: &mut Vec<u8>, id, from: u64| {
                self.batch(out, id, from..(from + BATCH_COUNT).min(end))
            };
            let filled = client.carry_out(batches, write, |_| {}).await;
            filled.context("the events to ask for could not be created")?;
            first = end;
        }
        Ok(())
    }

    fn batch(
        &self,
        out: &mut Vec<u8>,
        id: u64,
        numbers: std::ops::Range<u64>,
    ) -> std::io::Result<()> {
        write!(
            out,
            r#"{{"type":"BATCH","id":{id},"payload":{{"commands":["#
        )?;
        for number in numbers.clone() {
            let comma = if number == numbers.start { "" } else { "," };
            let owner = self.owner(number);
            let status = ["open", "done", "late"][usize::try_from(number % 3).unwrap_or(0)];
            let (due, amount, text) = (number * 7919 % 1_000, number % 97, TEXT.repeat(TEXTS));
            write!(
                out,
                r#"{comma}{{"type":"CREATE","payload":{{"owner":"{owner}","status":"{status}","due":{due},"amount":{amount},"text":"{text}"}}}}"#
            )?;
        }
        write!(out, "]}}}}")
    }
}

impl Question {
    async fn answer(
        &self,
        owner: &str,
        address: &Address,
        connection: &mut BenchConnection,
    ) -> Result<Duration> {
        match self {
            Self::Fetch(payload) => {
                let payload = payload.replace("OWNER", owner);
                let request = format!(r#"{{"type":"FETCH","payload":{{{payload}}}}}"#);
                until(connection, &request, is_response).await
            }
            Self::Snapshot(filter) => {
                let filter = filter.replace("OWNER", owner);
                let took = snapshot(connection, &filter).await?;
                let ended = r#"{"type":"UNSUBSCRIBE","payload":{"sub":"1"}}"#;
                until(connection, ended, is_response).await?;
                Ok(took)
            }
            Self::Stats(filter) => stats(address, &filter.replace("OWNER", owner)).await,
        }
    }
}

/// How long a subscription takes that begins with a snapshot, until it is live.
async fn snapshot(session: &mut BenchConnection, filter: &str) -> Result<Duration> {
    let request = format!(
        r#"{{"type":"SUBSCRIBE","payload":{{"sub":"1","filter":{filter},"snapshot":true}}}}"#
    );
    until(session, &request, is_live).await
}

/// Sends a request, and reads on until a message ends what it asked for.
async fn until(
    connection: &mut BenchConnection,
    request: &str,
    is_end: impl Fn(&[u8]) -> bool,
) -> Result<Duration> {
    let began = Instant::now();
    connection.queue(request.as_bytes())?;
    let mut is_over = false;
    while !is_over {
        let step = connection.step(|text| {
            is_over |= is_end(text);
            match message::read(text) {
                Message::Error { code, .. } => bail!("the server answered `{code}`"),
                _ => Ok(()),
            }
        });
        step.await?;
    }
    Ok(began.elapsed())
}

fn is_response(text: &[u8]) -> bool {
    matches!(message::read(text), Message::Response { .. })
}

fn is_live(text: &[u8]) -> bool {
    text.starts_with(br#"{"type":"live""#)
}

/// Asks over HTTP, on a connection of its own.
async fn stats(address: &Address, filter: &str) -> Result<Duration> {
    let mut stream = tls::over(address.dial().await?, address).await?;
    let filter = filter
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22");
    let request = format!(
        "GET /api/events/stats?group=status&sum=amount&filter={filter} HTTP/1.1\r\nHost: {}\r\n\
         Connection: close\r\n{}\r\n",
        address.authority,
        tokens::header()
    );
    let began = Instant::now();
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    ensure!(
        status.contains(" 200 "),
        "stats were answered with {status}"
    );
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_as_many_events_as_are_asked_for() {
        let events = EventWriter::new(1_000);
        let of_first = (0..1_000).filter(|number| events.owner(*number) == events.owner(0));
        assert_eq!(of_first.count() as u64, HITS);
        let mut text = Vec::new();
        events.batch(&mut text, 7, 5..8).expect("memory takes it");
        let batch: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        let commands = batch["payload"]["commands"].as_array().expect("commands");
        assert_eq!((batch["id"].as_u64(), commands.len()), (Some(7), 3));
        let bytes = commands[0]["payload"].to_string().len();
        assert!((400..500).contains(&bytes), "{bytes} bytes");
    }
}
