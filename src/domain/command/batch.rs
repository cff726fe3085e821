//! Commands that a client asks for together.

use super::meaning::Meaning;
use super::{BatchKey, Command, CommandId, Create, Delete, Restore, Update, Verb};
use crate::domain::precondition::Precondition;
use crate::limits;
use crate::query::Conditions;
use crate::value::known;
use crate::value::{Document, Value};
use crate::value::{Invalid, join};

/// One command, or several that stand or fall together; with the key by which a repetition is known.
#[derive(Debug, Clone)]
pub struct CommandBatch {
    /// What is asked, in order; never nothing.
    pub commands: Vec<Command>,
    /// If the client gave it an id.
    pub key: Option<BatchKey>,
    /// What must hold of the event that its commands are about.
    pub guard: Precondition,
    /// Roughly the bytes that it takes in memory: of values many times its text, and of compiled patterns.
    pub weight: usize,
}

const COMMANDS: &str = "payload.commands";

impl CommandBatch {
    /// Reads the payload of a CREATE, UPDATE, DELETE or RESTORE that was given this id, if any.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(verb: Verb, payload: Document, id: Option<CommandId>) -> Result<Self, Invalid> {
        let meaning = |payload| Meaning::of(verb, payload);
        let key = id.map(|id| BatchKey::new(id, verb.tag(), &payload, &meaning(&payload)));
        let weight = payload.weight();
        let commands = vec![command(verb, payload, &mut Conditions::default())?];
        Ok(Self::new(commands, key, weight))
    }

    /// Reads the payload of a BATCH that was given this id, if any: `{"commands":[{"type","payload"}, …]}`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse_batch(payload: Document, id: Option<CommandId>) -> Result<Self, Invalid> {
        let meaning = Meaning::of_batch;
        let key = id.map(|id| BatchKey::new(id, "batch", &payload, &meaning(&payload)));
        let weight = payload.weight();
        let mut payload = known(payload, "payload", &["commands"])?;
        let invalid = |reason: String| Invalid::new(COMMANDS, reason);
        let items = match payload.remove("commands") {
            Some(Value::Array(items)) => items,
            Some(other) => {
                return Err(invalid(format!(
                    "expected an array, found {}",
                    other.kind()
                )));
            }
            None => return Err(invalid("missing: name the commands".to_owned())),
        };
        if !(1..=limits::ORDER_COMMANDS_MAX).contains(&items.len()) {
            let reason = format!("expected 1 to {} commands", limits::ORDER_COMMANDS_MAX);
            return Err(invalid(reason));
        }
        let mut conditions = Conditions::default();
        let commands = items.into_iter().enumerate().map(|(at, item)| {
            let at = join(COMMANDS, &at.to_string());
            member(item, &at, &mut conditions)
        });
        let commands = commands.collect::<Result<Vec<_>, Invalid>>()?;
        Ok(Self::new(commands, key, weight))
    }

    /// Of these commands, whose payloads weigh so much.
    fn new(commands: Vec<Command>, key: Option<BatchKey>, payloads: usize) -> Self {
        let conditions = commands.iter().map(Command::weight_of_conditions);
        Self {
            weight: payloads + conditions.sum::<usize>(),
            commands,
            key,
            guard: Precondition::default(),
        }
    }

    /// The same, to be carried out only if this holds.
    pub fn guarded(self, guard: Precondition) -> Self {
        Self { guard, ..self }
    }
}

fn command(verb: Verb, payload: Document, conditions: &mut Conditions) -> Result<Command, Invalid> {
    match verb {
        Verb::Create => Create::parse(payload).map(Command::Create),
        Verb::Update => Update::parse(payload, conditions).map(Command::Update),
        Verb::Delete => Delete::parse(payload).map(Command::Delete),
        Verb::Restore => Restore::parse(payload).map(Command::Restore),
    }
}

/// A command of a batch, `{"type","payload"}`, that stands `at`.
fn member(item: Value, at: &str, conditions: &mut Conditions) -> Result<Command, Invalid> {
    let Value::Object(mut item) = item else {
        let reason = format!("expected an object, found {}", item.kind());
        return Err(Invalid::new(at, reason));
    };
    // Before the names that are known, among which it would be told.
    if item.remove("commandId").is_some_and(|id| id != Value::Null) {
        let reason = "a batch is repeated as a whole: its commandId stands beside its type";
        return Err(Invalid::new(join(at, "commandId"), reason));
    }
    let mut item = known(item, at, &["type", "payload"])?;
    let word = item.get("type").and_then(Value::as_str);
    let Some(verb) = word.and_then(Verb::parse) else {
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
    fn an_order_weighs_what_its_values_and_its_conditions_do() {
        let pull = |operand: &str| {
            format!(
                r#"{{"type":"UPDATE","payload":{{"id":"e","updateData":{{"$pull":{{"a":{operand}}}}}}}}}"#
            )
        };
        let (plain, pattern) = (pull("1"), pull(r#"{"$regex":"x"}"#));
        let json = format!(r#"{{"commands":[{pattern},{plain},{pattern}]}}"#);
        let payload = serde_json::from_str(&json).expect("the test's own JSON");
        let weight = Document::weight(&payload) + 2 * limits::REGEX_COMPILED_BYTES_MAX;
        let order = CommandBatch::parse_batch(payload, None);
        assert_eq!(order.expect("a good batch").weight, weight);
    }
}
