//! The conversion of a document: see the table in [`adoption`](super).

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use super::given::{Given, GivenFields};
use super::ids;
use super::refusal::{Place, PlaceSegment, Refusal, Refusals};
use super::renames::Renames;
use super::tally::{Kind, KindTally};
use crate::domain::{Create, OriginalTimes, Timestamp};
use crate::limits;
use crate::value::{Document, Value, hex, name_offence, repeated};

/// Converts documents, each into the CREATE of an event.
#[derive(Debug, Clone, Default)]
pub struct Converter {
    /// The new names that were asked for.
    pub renames: Arc<Renames>,
}

/// What a document's own fields say of it.
#[derive(Default)]
struct Known {
    id: Option<String>,
    born: Option<Timestamp>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

impl Converter {
    /// Converts a document, and adds what that took to `tally`. Times after `now` are counted.
    ///
    /// # Errors
    /// The offenders.
    pub fn convert(
        &self,
        fields: GivenFields,
        now: Timestamp,
        tally: &mut KindTally,
    ) -> Result<Create, Refusals> {
        let mut conversion = Conversion {
            renames: &self.renames,
            tally: KindTally::default(),
            refusals: Refusals::default(),
        };
        let (known, mut event) = conversion.top(fields);
        let times = conversion.times(&known, now);
        if let Some(id) = known.id {
            event.push("_id", id);
        }
        let create = Create::parse(event).map_err(|invalid| conversion.refuse(invalid.into()));
        match create {
            Ok(create) if conversion.refusals.kept.is_empty() => {
                tally.add(&conversion.tally);
                Ok(create.with_times(times))
            }
            _ => Err(conversion.refusals),
        }
    }

    /// The text of an id, as [`convert`](Self::convert) makes it.
    ///
    /// # Errors
    /// Why it has none.
    pub fn id(id: &Given) -> Result<String, Refusal> {
        ids::text(id).map_err(|reason| Place::name(None, "_id").refused(reason))
    }
}

/// What is refused is noted, and something else stands for it, so that all that is refused is found.
struct Conversion<'a> {
    renames: &'a Renames,
    tally: KindTally,
    refusals: Refusals,
}

impl<'a> Conversion<'a> {
    fn refuse(&mut self, refusal: Refusal) {
        self.refusals.add(refusal);
    }

    /// The document's own fields, and what some of them say of it.
    fn top(&mut self, fields: GivenFields) -> (Known, Document) {
        let mut known = Known::default();
        let mut event = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let place = Place::name(None, &name);
            if name == "_id" && known.id.is_none() {
                known.born = object_id_time(&value);
                match Converter::id(&value) {
                    Ok(id) => known.id = Some(id),
                    Err(refusal) => self.refuse(refusal),
                }
                continue;
            }
            let Some(new) = self.renamed(&place, &name, &[]) else {
                continue;
            };
            if self.is_known(new, &value, &mut known) {
                continue;
            }
            let field = (self.named(&place, new), self.value(value, &place));
            match new.starts_with('_') {
                true => self.refuse(place.misnamed("names beginning with _ are the server's")),
                false => event.push(field),
            }
        }
        let event = self.unrepeated(event, None);
        (known, event)
    }

    /// Whether a field is no field of the event: what it says is noted.
    fn is_known(&mut self, name: &str, value: &Given, known: &mut Known) -> bool {
        let place = match name {
            "__v" => {
                self.tally.count(Kind::Revision);
                return true;
            }
            "createdAt" => &mut known.created_at,
            "updatedAt" => &mut known.updated_at,
            _ => return false,
        };
        match time(value) {
            Some(time) if place.is_none() => {
                *place = Some(time);
                true
            }
            _ => false,
        }
    }

    /// When the document was created and last changed, if that is known at all.
    fn times(&mut self, known: &Known, now: Timestamp) -> Option<OriginalTimes> {
        let created_at = known.created_at.or(known.born).or(known.updated_at)?;
        match (known.created_at, known.born) {
            (Some(_), _) => self.tally.count(Kind::Created),
            (None, Some(_)) => self.tally.count(Kind::Born),
            (None, None) => {}
        }
        match known.updated_at {
            Some(updated_at) if updated_at < created_at => self.tally.count(Kind::Raised),
            Some(_) => self.tally.count(Kind::Updated),
            None => {}
        }
        let times = OriginalTimes {
            created_at,
            updated_at: known.updated_at.unwrap_or(created_at),
        };
        if times.created_at.max(times.updated_at) > now {
            self.tally.count(Kind::Future);
        }
        Some(times)
    }

    /// The name that a field is to have; `None` if it is left out. `own` are names that the type of the document has.
    fn renamed<'n>(
        &mut self,
        place: &Place<'_>,
        name: &'n str,
        own: &[(&str, &'static str)],
    ) -> Option<&'n str>
    where
        'a: 'n,
    {
        if let Some((_, new)) = own.iter().find(|(old, _)| *old == name) {
            return Some(new);
        }
        if self.renames.is_empty() {
            return Some(name);
        }
        let renames = self.renames;
        match place.field().and_then(|field| renames.get(&field)) {
            None => Some(name),
            Some(None) => {
                self.tally.count(Kind::Dropped);
                None
            }
            Some(Some(new)) => {
                self.tally.count(Kind::Renamed);
                Some(new)
            }
        }
    }

    fn document(
        &mut self,
        fields: GivenFields,
        place: &Place<'_>,
        own: &[(&str, &'static str)],
    ) -> Document {
        let mut document = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let place = Place::name(Some(place), &name);
            if let Some(new) = self.renamed(&place, &name, own) {
                document.push((self.named(&place, new), self.value(value, &place)));
            }
        }
        self.unrepeated(document, Some(place))
    }

    fn value(&mut self, given: Given, place: &Place<'_>) -> Value {
        if is_nested(&given) && place.depth() > limits::DOCUMENT_DEPTH_MAX {
            let levels = limits::DOCUMENT_DEPTH_MAX;
            self.refuse(place.refused(format!("nested deeper than {levels} levels")));
            return Value::Null;
        }
        let (kind, value) = match given {
            Given::Null => (Kind::Null, Value::Null),
            Given::Bool(flag) => (Kind::Bool, flag.into()),
            Given::Int(number) => (Kind::Int, number.into()),
            Given::Float(number) if !number.is_finite() => (Kind::NotFinite, Value::Null),
            Given::Float(number) => (Kind::Float, number.into()),
            Given::Text(text) => (Kind::Text, text.into()),
            Given::List(items) => (Kind::List, self.list(items, place)),
            Given::Document(fields) => (Kind::Document, self.document(fields, place, &[]).into()),
            other => self.foreign(other, place),
        };
        self.tally.count(kind);
        value
    }

    /// What JSON does not have.
    fn foreign(&mut self, given: Given, place: &Place<'_>) -> (Kind, Value) {
        match given {
            Given::ObjectId(bytes) => (Kind::ObjectId, hex(&bytes).into()),
            Given::Date(millis) => match date(millis) {
                Ok(time) => (Kind::Date, time.as_str().into()),
                Err(reason) => self.refused(place, reason),
            },
            Given::Decimal(text) => (Kind::Decimal, text.into()),
            Given::Uuid(bytes) => (Kind::Uuid, Uuid::from_bytes(bytes).to_string().into()),
            Given::Binary(bytes) => (Kind::Binary, BASE64_STANDARD.encode(bytes).into()),
            Given::Timestamp { time, increment } => {
                let parts = [("t", time), ("i", increment)];
                let parts = parts.map(|(name, part)| (name, Value::Int(part.into())));
                (Kind::Timestamp, Document::from_iter(parts).into())
            }
            Given::Regex { pattern, options } => {
                (Kind::Regex, format!("/{pattern}/{options}").into())
            }
            Given::Symbol(text) => (Kind::Symbol, text.into()),
            Given::Code(text) => (Kind::Code, text.into()),
            Given::CodeWithScope(code, scope) => {
                let scope = self.document(scope, &Place::name(Some(place), "scope"), &[]);
                let parts = [("code", code.into()), ("scope", scope.into())];
                (Kind::Code, Document::from_iter(parts).into())
            }
            Given::DbRef(fields) => {
                let own = [("$ref", "ref"), ("$id", "id"), ("$db", "db")];
                (Kind::DbRef, self.document(fields, place, &own).into())
            }
            Given::DbPointer { namespace, id } => {
                let parts = [("ref", namespace.into()), ("id", hex(&id).into())];
                (Kind::DbRef, Document::from_iter(parts).into())
            }
            Given::MinKey => (Kind::Bound, "MinKey".into()),
            Given::MaxKey => (Kind::Bound, "MaxKey".into()),
            Given::Unreadable(reason) => self.refused(place, reason),
            _ => (Kind::Undefined, Value::Null),
        }
    }

    fn refused(&mut self, place: &Place<'_>, reason: impl Into<String>) -> (Kind, Value) {
        self.refuse(place.refused(reason));
        (Kind::Undefined, Value::Null)
    }

    fn list(&mut self, items: Vec<Given>, place: &Place<'_>) -> Value {
        let converted = items.into_iter().enumerate().map(|(index, item)| {
            let place = Place {
                outer: Some(place),
                segment: PlaceSegment::Index(index),
            };
            self.value(item, &place)
        });
        Value::list(converted.collect::<Vec<_>>())
    }

    /// The name, if a field may have it.
    fn named(&mut self, place: &Place<'_>, name: &str) -> String {
        if let Some(reason) = name_offence(name) {
            self.refuse(place.misnamed(reason));
        }
        name.to_owned()
    }

    /// These fields, if no two have the same name.
    fn unrepeated(&mut self, fields: Vec<(String, Value)>, place: Option<&Place<'_>>) -> Document {
        if let Some(name) = repeated(&fields, |(name, _)| name) {
            let place = Place::name(place, name);
            self.refuse(place.misnamed("two fields of one document have this name"));
            return Document::default();
        }
        fields.into_iter().collect()
    }
}

fn is_nested(given: &Given) -> bool {
    matches!(
        given,
        Given::List(_)
            | Given::Document(_)
            | Given::DbRef(_)
            | Given::DbPointer { .. }
            | Given::CodeWithScope(..)
            | Given::Timestamp { .. }
    )
}

/// The time of a date.
pub(super) fn date(millis: i64) -> Result<Timestamp, String> {
    Timestamp::from_millis(millis)
        .ok_or_else(|| "a date that RFC 3339 cannot say: not within the years 0 to 9999".to_owned())
}

/// A time, as a date or in RFC 3339.
fn time(given: &Given) -> Option<Timestamp> {
    match given {
        Given::Date(millis) => date(*millis).ok(),
        Given::Text(text) => Timestamp::parse_rfc3339(text),
        _ => None,
    }
}

fn object_id_time(id: &Given) -> Option<Timestamp> {
    match id {
        Given::ObjectId(bytes) => Timestamp::from_millis(ids::millis_of(*bytes)),
        _ => None,
    }
}
