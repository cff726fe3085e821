//! Random histories: writers, sessions that come and go, subscriptions that follow them from one session to
//! the next; and every subscription was told exactly what the judge works out from the log.
//!
//! `LIVELOG_SEED=…` repeats the choices of a run; what the server does meanwhile is its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::judge;
use super::script::{END, end, fields, filter, write};
use crate::support::dice::{Dice, number};
use crate::support::subscriber::seq;
use crate::support::{Client, Database, Server, Subscriber};

const STEPS: usize = 300;
const SESSIONS: usize = 4;
const SUBSCRIBERS: usize = 10;

/// So few bytes that two or three changes fill the window.
const TINY_WINDOW: [&str; 2] = ["--window-bytes", "2000"];

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn subscriptions_are_told_every_change_once_in_order_on_mongodb() {
    let one = Server::start().await;
    let two = one.beside().await;
    World::open(vec![one, two], 1).await.play().await;
}

#[tokio::test]
async fn subscriptions_are_told_every_change_once_in_order_on_embedded() {
    let node = Server::in_folder().await;
    World::open(vec![node], 2).await.play().await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn subscriptions_miss_nothing_that_the_window_overran_on_mongodb() {
    let one = Server::start_with(&TINY_WINDOW).await;
    let two = Server::on(one.database.clone(), &TINY_WINDOW).await;
    let overruns = World::open(vec![one, two], 3).await.play().await;
    assert!(overruns > 20, "{overruns} overruns: nothing was tried");
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn subscriptions_miss_nothing_that_the_window_overran_on_embedded() {
    let node = Server::on(Database::folder(), &TINY_WINDOW).await;
    let overruns = World::open(vec![node], 4).await.play().await;
    assert!(overruns > 20, "{overruns} overruns: nothing was tried");
}

/// All that takes part.
struct World {
    dice: Dice,
    nodes: Vec<Server>,
    writers: Vec<Writer>,
    sessions: Vec<Option<Session>>,
    followers: Vec<Follower>,
}

struct Writer {
    client: Client,
    unanswered: usize,
    /// How many BATCHes were carried out.
    batches: usize,
    /// The last change that one of its writes made.
    last: u64,
}

struct Session {
    client: Client,
    /// The last change of its default feed, if it wants one.
    heard: Option<u64>,
}

/// A subscription and the session that it is on.
struct Follower {
    subscriber: Subscriber,
    session: Option<usize>,
    /// How it begins; taken when it has begun.
    beginning: Value,
    has_begun: bool,
}

impl World {
    async fn open(nodes: Vec<Server>, stream: u64) -> Self {
        let seed = number("LIVELOG_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        println!("LIVELOG_SEED={seed}");
        let mut writers = Vec::new();
        for n in 0..2 {
            let client = nodes[n % nodes.len()].connect("/ws?changes=none").await;
            writers.push(Writer {
                client,
                unanswered: 0,
                batches: 0,
                last: 0,
            });
        }
        Self {
            dice: Dice::new(seed, stream),
            nodes,
            writers,
            sessions: (0..SESSIONS).map(|_| None).collect(),
            followers: Vec::new(),
        }
    }

    /// Plays, judges, and says how often the window overran a subscription.
    async fn play(mut self) -> usize {
        for _ in 0..STEPS {
            match self.dice.below(100) {
                0..45 => self.write().await,
                45..70 => self.read_some().await,
                70..90 => self.attach_one().await,
                90..95 => self.detach_one().await,
                _ => self.drop_a_session(),
            }
        }
        let last = self.end().await;
        let log = judge::log(&self.nodes[0], last).await;
        let mut overruns = 0;
        for Follower { subscriber, .. } in &self.followers {
            overruns += subscriber.overruns;
            judge::check(subscriber, &log);
            if let Some(snapshot) = &subscriber.snapshot {
                let view = judge::view(&log, subscriber.start);
                let fields = subscriber.fields.as_deref();
                assert_eq!(*snapshot, judge::select(&view, &subscriber.filter, fields));
            }
        }
        let told: usize = self
            .followers
            .iter()
            .map(|f| f.subscriber.changes.len())
            .sum();
        assert!(told > 1_000, "only {told} were told of {last} changes");
        assert!(self.writers.iter().any(|writer| writer.batches > 0));
        overruns
    }

    /// Sends some writes, and waits for answers only where too many are owed.
    async fn write(&mut self) {
        let writes: Vec<Value> = (0..=self.dice.below(12))
            .map(|_| write(&mut self.dice))
            .collect();
        let chosen = self.dice.below(self.writers.len() as u64);
        let writer = &mut self.writers[chosen];
        writer.unanswered += writes.len();
        writer.client.send_all(writes).await;
        if writer.unanswered > 40 {
            writer.settle().await;
        }
    }

    /// Reads what a session has been sent; it may be nothing.
    async fn read_some(&mut self) {
        let chosen = self.dice.below(SESSIONS as u64);
        let frames = self.dice.below(60);
        let Some(session) = &mut self.sessions[chosen] else {
            return;
        };
        for _ in 0..frames {
            match session.client.read_within(Duration::from_millis(1)).await {
                Some(read) => read.expect("a session that lives"),
                None => break,
            }
        }
        self.hear(chosen);
    }

    /// Hands out what a session has read.
    fn hear(&mut self, at: usize) {
        let session = self.sessions[at].as_mut().expect("it has read");
        for change in session.client.changes.drain(..) {
            let heard = session.heard.as_mut().expect("it wants changes");
            assert_eq!(seq(&change), *heard + 1);
            *heard += 1;
        }
        for frame in session.client.told.drain(..) {
            let mut followers = self.followers.iter_mut();
            let follower =
                followers.find(|f| f.session == Some(at) && frame["sub"] == *f.subscriber.name);
            let follower = follower.unwrap_or_else(|| panic!("nobody asked for {frame}"));
            follower.subscriber.hear(frame);
        }
    }

    /// Lets a subscription begin or go on, on some session.
    async fn attach_one(&mut self) {
        if self.followers.len() < SUBSCRIBERS {
            let follower = Follower::new(&mut self.dice, self.followers.len());
            self.followers.push(follower);
        }
        let chosen = self.dice.below(self.followers.len() as u64);
        if self.followers[chosen].session.is_none() {
            self.attach(chosen).await;
        }
    }

    async fn attach(&mut self, chosen: usize) {
        let at = self.dice.below(SESSIONS as u64);
        if self.sessions[at].is_none() {
            let node = self.dice.below(self.nodes.len() as u64);
            self.sessions[at] =
                Some(Session::open(&self.nodes[node], self.dice.below(2) == 0).await);
        }
        // What came for others before the answer is theirs.
        let client = &mut self.sessions[at].as_mut().expect("opened above").client;
        self.followers[chosen].attach(client).await;
        self.followers[chosen].session = Some(at);
        self.hear(at);
    }

    async fn detach_one(&mut self) {
        let attached = |(n, f): (usize, &Follower)| f.session.map(|at| (n, at));
        let attached: Vec<(usize, usize)> = self
            .followers
            .iter()
            .enumerate()
            .filter_map(attached)
            .collect();
        if attached.is_empty() {
            return;
        }
        let (chosen, at) = attached[self.dice.below(attached.len() as u64)];
        let client = &mut self.sessions[at]
            .as_mut()
            .expect("something is on it")
            .client;
        let name = &self.followers[chosen].subscriber.name;
        client.ok("UNSUBSCRIBE", json!({"sub": name})).await;
        self.hear(at);
        self.followers[chosen].session = None;
    }

    /// Without a word, read or not.
    fn drop_a_session(&mut self) {
        let at = self.dice.below(SESSIONS as u64);
        self.sessions[at] = None;
        let mut followers = self.followers.iter_mut();
        while let Some(follower) = followers.find(|f| f.session == Some(at)) {
            follower.session = None;
        }
    }

    /// Writes an event that every filter admits, and reads until all subscriptions were told of it.
    async fn end(&mut self) -> u64 {
        for writer in &mut self.writers {
            writer.settle().await;
        }
        let (_, last) = self.writers[0].client.create(end()).await;
        for chosen in 0..self.followers.len() {
            if self.followers[chosen].session.is_none() {
                self.attach(chosen).await;
            }
        }
        for at in 0..SESSIONS {
            while self
                .followers
                .iter()
                .any(|f| f.session == Some(at) && !f.is_done(last))
            {
                let session = self.sessions[at].as_mut().expect("something is on it");
                session.client.read().await.expect("a session that lives");
                self.hear(at);
            }
        }
        last
    }
}

impl Writer {
    /// Hears all of its answers. Refusals are fine: it is dice that write.
    async fn settle(&mut self) {
        while self.unanswered > 0 {
            let answer = self.client.answer().await;
            self.unanswered -= 1;
            if answer["success"] == true {
                assert!(seq(&answer) > self.last, "{answer}");
                self.last = seq(&answer);
                self.batches += usize::from(answer["request"] == "BATCH");
            }
        }
    }
}

impl Session {
    async fn open(node: &Server, wants_changes: bool) -> Self {
        let path = if wants_changes {
            "/ws"
        } else {
            "/ws?changes=none"
        };
        let client = node.connect(path).await;
        let heard = wants_changes.then(|| client.start());
        Self { client, heard }
    }
}

impl Follower {
    fn new(dice: &mut Dice, n: usize) -> Self {
        let fields = fields(dice);
        let beginning = match dice.below(4) {
            0 => json!({}),
            1 => json!({"after": 0}),
            _ => json!({"snapshot": true}),
        };
        Self {
            subscriber: Subscriber::new(&format!("s{n}"), filter(dice), fields.as_deref()),
            session: None,
            beginning,
            has_begun: false,
        }
    }

    async fn attach(&mut self, client: &mut Client) {
        // Who was cut off amid a snapshot has nothing, and begins anew.
        if self.has_begun && self.subscriber.position.is_some() {
            return self.subscriber.resume(client).await;
        }
        self.subscriber.begin(client, self.beginning.clone()).await;
        self.has_begun = true;
    }

    fn is_done(&self, last: u64) -> bool {
        // One that began after the end is told of nothing more.
        let began_after = self.subscriber.start >= last && self.subscriber.is_live();
        began_after || self.subscriber.was_told_of(END)
    }
}
