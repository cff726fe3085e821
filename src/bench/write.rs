//! The commands of a benchmark, written straight into a reused buffer.

use std::io::Write;

/// Text that fills documents up to their size.
const FILLER: &str = "the quick brown fox jumps over the lazy dog and runs away ";

/// Bytes of a command beside the text, about.
const ENVELOPE_BYTES: usize = 75;

/// Writes commands of about a given size.
#[derive(Debug, Clone)]
pub(super) struct BenchWriter {
    text: String,
}

impl BenchWriter {
    pub(super) fn new(bytes: usize) -> Self {
        let size = bytes.saturating_sub(ENVELOPE_BYTES);
        Self {
            text: FILLER.chars().cycle().take(size).collect(),
        }
    }

    pub(super) fn create(&self, out: &mut Vec<u8>, id: u64) -> std::io::Result<()> {
        let text = &self.text;
        write!(
            out,
            r#"{{"type":"CREATE","id":{id},"payload":{{"title":"bench","count":{id},"text":"{text}"}}}}"#
        )
    }

    /// One that matches the filter of [`subscribe_to`] for the same topic.
    pub(super) fn create_about(
        &self,
        out: &mut Vec<u8>,
        id: u64,
        topic: u64,
    ) -> std::io::Result<()> {
        let text = &self.text;
        write!(
            out,
            r#"{{"type":"CREATE","id":{id},"payload":{{"topic":"t{topic}","count":{id},"text":"{text}"}}}}"#
        )
    }

    pub(super) fn create_named(
        &self,
        out: &mut Vec<u8>,
        id: u64,
        event: &str,
    ) -> std::io::Result<()> {
        let text = &self.text;
        write!(
            out,
            r#"{{"type":"CREATE","id":{id},"payload":{{"_id":"{event}","count":{id},"text":"{text}"}}}}"#
        )
    }

    pub(super) fn update(&self, out: &mut Vec<u8>, id: u64, event: &str) -> std::io::Result<()> {
        let text = &self.text;
        write!(
            out,
            r#"{{"type":"UPDATE","id":{id},"payload":{{"id":"{event}","updateData":{{"count":{id},"text":"{text}"}}}}}}"#
        )
    }

    /// A broadcast carrying `number`, by which receivers notice what is missing.
    pub(super) fn broadcast(&self, out: &mut Vec<u8>, id: u64, number: u64) -> std::io::Result<()> {
        let text = &self.text;
        write!(
            out,
            r#"{{"type":"BROADCAST","id":{id},"payload":{{"number":{number},"text":"{text}"}}}}"#
        )
    }
}

/// Names a subscription to one topic by `sub`.
pub(super) fn subscribe_to(
    out: &mut Vec<u8>,
    id: u64,
    sub: u64,
    topic: u64,
) -> std::io::Result<()> {
    write!(
        out,
        r#"{{"type":"SUBSCRIBE","id":{id},"payload":{{"sub":"{sub}","filter":{{"topic":"t{topic}"}}}}}}"#
    )
}

/// Names a subscription to all changes by `sub`.
pub(super) fn subscribe_to_all(out: &mut Vec<u8>, id: u64, sub: u64) -> std::io::Result<()> {
    write!(
        out,
        r#"{{"type":"SUBSCRIBE","id":{id},"payload":{{"sub":"{sub}"}}}}"#
    )
}

/// Names a live list of the newest events by `sub`.
pub(super) fn subscribe_to_newest(
    out: &mut Vec<u8>,
    id: u64,
    sub: u64,
    limit: u32,
) -> std::io::Result<()> {
    write!(
        out,
        r#"{{"type":"SUBSCRIBE","id":{id},"payload":{{"sub":"{sub}","sort":{{"_createdAt":-1}},"limit":{limit}}}}}"#
    )
}

/// Names a subscription to every change after `after` by `sub`.
pub(super) fn subscribe_after(
    out: &mut Vec<u8>,
    id: u64,
    sub: u64,
    after: u64,
) -> std::io::Result<()> {
    write!(
        out,
        r#"{{"type":"SUBSCRIBE","id":{id},"payload":{{"sub":"{sub}","after":{after}}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> serde_json::Value {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn commands_are_json_of_about_the_size() {
        let writer = BenchWriter::new(150);
        let create = written(|out| writer.create(out, 7));
        assert_eq!(create["type"], "CREATE");
        assert_eq!(create["id"], 7);
        let size = create.to_string().len();
        assert!((140..170).contains(&size), "{size}");
    }

    #[test]
    fn updates_and_broadcasts_name_their_subject() {
        let writer = BenchWriter::new(0);
        let created = written(|out| writer.create_named(out, 1, "e1"));
        assert_eq!(created["payload"]["_id"], "e1");
        let updated = written(|out| writer.update(out, 2, "e1"));
        assert_eq!(updated["payload"]["id"], "e1");
        assert_eq!(updated["payload"]["updateData"]["count"], 2);
        let broadcast = written(|out| writer.broadcast(out, 3, 9));
        assert_eq!(broadcast["payload"]["number"], 9);
    }

    #[test]
    fn a_subscription_and_the_changes_it_is_for_name_one_topic() {
        let created = written(|out| BenchWriter::new(0).create_about(out, 1, 17));
        let subscribed = written(|out| subscribe_to(out, 2, 3, 17));
        assert_eq!(subscribed["payload"]["sub"], "3");
        let wanted = &subscribed["payload"]["filter"]["topic"];
        assert_eq!(created["payload"]["topic"], *wanted);
        let resumed = written(|out| subscribe_after(out, 3, 1, 41));
        assert_eq!(resumed["payload"]["after"], 41);
    }
}
