//! A command batch: what the engine decides at once.

use super::canonical::Canonical;
use super::{BatchKey, Command, CommandId, CommandKind, Create, Delete, Restore, Update};
use crate::domain::author::Author;
use crate::domain::event::EventId;
use crate::domain::precondition::Precondition;
use crate::limits;
use crate::query::Conditions;
use crate::value::{Document, Invalid, Value, expected, join, known};

/// One command, or several of a BATCH that all take effect or none; with the key by which a repetition is recognized.
#[derive(Debug, Clone)]
pub struct CommandBatch {
    /// In order; never empty.
    pub commands: Vec<Command>,
    /// The idempotency key, if the client gave an id.
    pub key: Option<BatchKey>,
    /// The precondition on the event of its command.
    pub precondition: Precondition,
    /// Roughly the bytes that it takes in memory. Its values take many times the bytes of its text, and compiled
    /// patterns come on top.
    pub approx_bytes: usize,
}

const COMMANDS: &str = "payload.commands";

impl CommandBatch {
    /// Parses the payload of a CREATE, UPDATE, DELETE or RESTORE, with the command id that it was given, if any.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(
        verb: CommandKind,
        payload: Document,
        id: Option<CommandId>,
    ) -> Result<Self, Invalid> {
        let canonical = || Canonical::of(verb, &payload);
        let key = id.map(|id| BatchKey::new(id, verb.tag(), &payload, &canonical()));
        let approx_bytes = payload.approx_bytes();
        let commands = vec![command(verb, payload, &mut Conditions::default())?];
        Ok(Self::new(commands, key, approx_bytes))
    }

    /// Parses the payload of a BATCH, `{"commands":[{"type","payload"}, …]}`, with the command id that it was given, if
    /// any.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse_batch(payload: Document, id: Option<CommandId>) -> Result<Self, Invalid> {
        let canonical = || Canonical::of_batch(&payload);
        let key = id.map(|id| BatchKey::new(id, "batch", &payload, &canonical()));
        let approx_bytes = payload.approx_bytes();
        let mut payload = known(payload, "payload", &["commands"])?;
        let invalid = |reason: String| Invalid::new(COMMANDS, reason);
        let items = match payload.remove("commands") {
            Some(Value::Array(items)) => items,
            Some(other) => return Err(expected("an array", &other, COMMANDS)),
            None => return Err(invalid("missing: name the commands".to_owned())),
        };
        if !(1..=limits::COMMAND_BATCH_COUNT_MAX).contains(&items.len()) {
            let reason = format!("expected 1 to {} commands", limits::COMMAND_BATCH_COUNT_MAX);
            return Err(invalid(reason));
        }
        let mut conditions = Conditions::default();
        let commands = items.into_iter().enumerate().map(|(index, item)| {
            let at = join(COMMANDS, &index.to_string());
            member(item, &at, &mut conditions)
        });
        let commands = commands.collect::<Result<Vec<_>, Invalid>>()?;
        Ok(Self::new(commands, key, approx_bytes))
    }

    /// What another program did to one event, as commands that are carried out together and, under this id, once.
    pub fn adopted(commands: Vec<Command>, event: &EventId, bytes: usize, id: CommandId) -> Self {
        let named = Document::from_iter([("id", Value::from(event.as_str()))]);
        // Not of the fields: what is seen again of the same change may be of later.
        let canonical = Canonical::of(CommandKind::Delete, &named);
        let key = BatchKey::new(id, "adopt", &named, &canonical);
        Self::new(commands, Some(key), bytes)
    }

    /// A batch of these commands, whose payloads take so many bytes.
    fn new(commands: Vec<Command>, key: Option<BatchKey>, payloads: usize) -> Self {
        assert!(!commands.is_empty(), "a batch has a command");
        let conditions = commands.iter().map(Command::approx_condition_bytes);
        Self {
            approx_bytes: payloads + conditions.sum::<usize>(),
            commands,
            key,
            precondition: Precondition::default(),
        }
    }

    /// The same batch of this author: whose ids of commands are its own, whatever ids others give.
    pub fn of(self, author: &Author) -> Self {
        Self {
            key: self.key.map(|key| key.of(author)),
            ..self
        }
    }

    /// The same batch, to be carried out only if this holds.
    pub fn with_precondition(self, precondition: Precondition) -> Self {
        Self {
            precondition,
            ..self
        }
    }
}

fn command(
    verb: CommandKind,
    payload: Document,
    conditions: &mut Conditions,
) -> Result<Command, Invalid> {
    match verb {
        CommandKind::Create => Create::parse(payload).map(Command::Create),
        CommandKind::Update => Update::parse(payload, conditions).map(Command::Update),
        CommandKind::Delete => Delete::parse(payload).map(Command::Delete),
        CommandKind::Restore => Restore::parse(payload).map(Command::Restore),
    }
}

/// A command of a BATCH, `{"type","payload"}`, at the path `at`.
fn member(item: Value, at: &str, conditions: &mut Conditions) -> Result<Command, Invalid> {
    let Value::Object(mut item) = item else {
        return Err(expected("an object", &item, at));
    };
    // Checked before the names, so that it gets a reason of its own.
    if item.remove("commandId").is_some_and(|id| id != Value::Null) {
        let reason = "a batch is repeated as a whole: its commandId stands beside its type";
        return Err(Invalid::new(join(at, "commandId"), reason));
    }
    let mut item = known(item, at, &["type", "payload"])?;
    let word = item.get("type").and_then(Value::as_str);
    let Some(verb) = word.and_then(CommandKind::parse) else {
        let reason = "expected CREATE, UPDATE, DELETE or RESTORE";
        return Err(Invalid::new(join(at, "type"), reason));
    };
    let Some(Value::Object(payload)) = item.remove("payload") else {
        return Err(Invalid::new(join(at, "payload"), "expected an object"));
    };
    command(verb, payload, conditions)
        .map_err(|invalid| Invalid::new(join(at, &invalid.path), invalid.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_what_its_values_and_its_conditions_do() {
        let pull = |operand: &str| {
            format!(
                r#"{{"type":"UPDATE","payload":{{"id":"e","updateData":{{"$pull":{{"a":{operand}}}}}}}}}"#
            )
        };
        let (plain, pattern) = (pull("1"), pull(r#"{"$regex":"x"}"#));
        let json = format!(r#"{{"commands":[{pattern},{plain},{pattern}]}}"#);
        let payload = serde_json::from_str(&json).expect("the test's own JSON");
        let approx_bytes = Document::approx_bytes(&payload) + 2 * limits::REGEX_COMPILED_BYTES_MAX;
        let order = CommandBatch::parse_batch(payload, None);
        assert_eq!(order.expect("a good batch").approx_bytes, approx_bytes);
    }
}
