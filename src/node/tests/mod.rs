//! What a grant lets through: of the past, of what changes, of broadcasts.

mod broadcasts;
mod past;
mod subscriptions;

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::access::{Claims, Grant, Policy, Principal};
use crate::domain::{Author, CommandBatch, CommandKind};
use crate::quota::{Caller, Quotas};
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::value::Document;

fn document(value: Json) -> Document {
    serde_json::from_value(value).expect("the test's own JSON")
}

fn grant(role: &Json) -> Grant {
    let policy = Policy::parse(&document(json!({"roles": {"user": role}})));
    let author = Author::Key { id: "k".into() };
    let principal = Principal {
        author: Some(Arc::new(author)),
        role: None,
        claims: Claims::new(document(json!({"role": "user", "sub": "u1"}))),
        issued_at: None,
    };
    let admitted = policy.expect("good rules").admit(&principal, None);
    admitted.expect("the role is there")
}

fn caller() -> Caller {
    Caller::new(&Quotas::default(), Ipv4Addr::LOCALHOST.into())
}

/// Reads what is public, with more rules.
fn reader(more: Json) -> Grant {
    let mut role = more;
    role["read"] = json!({"public": true});
    grant(&role)
}

/// A livelog of one node.
struct World {
    node: Node,
    everyone: Guarded,
    _folder: tempfile::TempDir,
    _supervisor: Supervisor,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().to_owned();
        let store = EmbeddedStore::open(EmbeddedOptions { dir }).await;
        let store: Arc<dyn Store> = store.expect("an empty folder");
        let (node, supervisor) = Node::start(store, 1024 * 1024).await.expect("it starts");
        Self {
            everyone: Guarded::new(node.clone(), Grant::open(), &caller()),
            node,
            _folder: folder,
            _supervisor: supervisor,
        }
    }

    fn seen_by(&self, grant: Grant) -> Guarded {
        Guarded::new(self.node.clone(), grant, &caller())
    }

    /// The seq of the change, which the feed has then.
    async fn write(&self, kind: CommandKind, payload: Json) -> u64 {
        let commands = CommandBatch::parse(kind, document(payload), None);
        let done = self.everyone.write(commands.expect("a good command")).await;
        let seq = done.expect("it is carried out").changes[0].seq;
        self.node.wait_for_seq(seq).await.expect("it is soon there");
        seq.get()
    }

    async fn create(&self, id: &str, mut fields: Json) -> u64 {
        fields["_id"] = id.into();
        self.write(CommandKind::Create, fields).await
    }

    async fn set(&self, id: &str, fields: Json) -> u64 {
        let payload = json!({"id": id, "updateData": fields});
        self.write(CommandKind::Update, payload).await
    }

    async fn delete(&self, id: &str) -> u64 {
        self.write(CommandKind::Delete, json!({"id": id})).await
    }
}
