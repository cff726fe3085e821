//! Who holds keys of a unique index, and the events as an index sees them.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{Bson, Document as Bdoc, doc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::Database;
use mongodb::options::Hint;
use mongodb::raw_batch_cursor::RawBatch;

use super::filter::bson;
use super::view;
use crate::domain::{Event, EventId};
use crate::indexes::{Index, UniqueKey};
use crate::limits;
use crate::store::StoreError;
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, within};
use crate::store::mongo::{EVENTS, collection, index_name};
use crate::value::Value;

/// Keys of one request: of a mebibyte at the most, a sixteenth of what it may be.
const KEYS_COUNT: usize = 1_000;

/// Events of one batch: no more are found by as many keys, most often.
const BATCH_COUNT: u32 = 1_001;

/// See [`Store::holders`](crate::store::Store::holders).
///
/// With the read concern of everything that the engine loads: a majority of the servers has it.
pub(crate) async fn find(
    database: &Database,
    index: &Index,
    keys: &[Arc<UniqueKey>],
) -> Result<Vec<(usize, EventId)>, StoreError> {
    let places: HashMap<&UniqueKey, usize> = keys.iter().map(Arc::as_ref).zip(0..).collect();
    let mut holders = Vec::new();
    for some in keys.chunks(KEYS_COUNT) {
        let hint = Hint::Name(index_name(index));
        let mut events = read(database, index, filter(index, some), Some(hint)).await?;
        while let Some(event) = events.next().await.transpose()? {
            // What cannot be kept is found by `verify`, and holds nothing.
            let held = index.unique_keys_of(&event).unwrap_or_default();
            let asked = held.iter().filter_map(|key| places.get(key));
            holders.extend(asked.map(|place| (*place, event.id.clone())));
        }
    }
    Ok(holders)
}

/// A branch for all keys that differ in the last field alone, with its values.
fn filter(index: &Index, keys: &[Arc<UniqueKey>]) -> Bdoc {
    let mut keys: Vec<&UniqueKey> = keys.iter().map(Arc::as_ref).collect();
    keys.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
    let paths: Vec<&str> = index.fields().map(|(path, _)| path.as_str()).collect();
    let branch = |same: &[&UniqueKey]| {
        let parts = same.iter().filter_map(|key| key.values.split_last());
        let last: Vec<Bson> = parts.map(|(last, _)| bson(last)).collect();
        let values = first_values(same[0]).iter();
        let equal = values.map(|value| doc! { "$eq": bson(value) });
        let conditions = equal.chain([doc! { "$in": last }]);
        let names = paths.iter().map(|path| (*path).to_owned());
        names.zip(conditions.map(Bson::from)).collect::<Bdoc>()
    };
    let alike = keys.chunk_by(|a, b| first_values(a) == first_values(b));
    let mut branches: Vec<Bdoc> = alike.map(branch).collect();
    match branches.len() {
        1 => branches.remove(0),
        _ => doc! { "$or": branches },
    }
}

/// All but the last.
fn first_values(key: &UniqueKey) -> &[Value] {
    &key.values[..key.values.len() - 1]
}

/// What an index sees of an event, and what every event has.
fn fields(index: &Index) -> Bdoc {
    let paths: Vec<&str> = index.fields().map(|(path, _)| path.as_str()).collect();
    let is_within = |path: &str, other: &str| {
        let rest = path.strip_prefix(other);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let own = ["_version", "_seq", "_createdAt", "_updatedAt"];
    let outer = paths.iter().filter(|path| {
        let mut others = paths.iter().chain(&own);
        !others.any(|other| is_within(path, other))
    });
    outer
        .chain(&own)
        .map(|path| ((*path).to_owned(), Bson::from(1)))
        .collect()
}

type Events = BoxStream<'static, Result<Event, StoreError>>;

/// All events as an index sees them, as they are while they are read.
pub(crate) async fn events(database: &Database, index: &Index) -> Result<Events, StoreError> {
    read(database, index, doc! {}, None).await
}

/// Events as an index sees them. A batch of them is held at once.
async fn read(
    database: &Database,
    index: &Index,
    filter: Bdoc,
    hint: Option<Hint>,
) -> Result<Events, StoreError> {
    let (events, fields) = (collection(database, EVENTS), fields(index));
    let cursor = within(QUERY_CALL_DEADLINE, async move {
        let find = events.find(filter).projection(fields);
        let find = find.batch_size(BATCH_COUNT);
        match hint {
            Some(hint) => {
                find.hint(hint)
                    .max_time(limits::QUERY_DEADLINE)
                    .batch()
                    .await
            }
            None => find.batch().await,
        }
    });
    let cursor = cursor.await?;
    let batches = stream::try_unfold(cursor, |mut cursor| async move {
        let batch = within(QUERY_CALL_DEADLINE, async move {
            let batch = cursor.next().await.transpose()?;
            Ok(batch.map(|batch| (batch, cursor)))
        });
        Ok::<_, StoreError>(batch.await?)
    });
    let decoded = batches.map_ok(|batch| stream::iter(decoded(&batch)));
    Ok(decoded.try_flatten().boxed())
}

fn decoded(batch: &RawBatch) -> Vec<Result<Event, StoreError>> {
    let mut events = Vec::new();
    let all = view::decode_into(batch, |event| {
        events.push(Ok(event));
        Ok(())
    });
    events.extend(all.err().map(Err));
    events
}

/// An event with arrays in two fields of an index.
pub(crate) async fn parallel_event(
    database: &Database,
    index: &Index,
) -> Result<Option<EventId>, StoreError> {
    let mut events = events(database, index).await?;
    while let Some(event) = events.next().await.transpose()? {
        if index.parallel_array(&event).is_some() {
            return Ok(Some(event.id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(index: &Index, records: &[&str]) -> Vec<Arc<UniqueKey>> {
        let keys = records.iter().flat_map(|json| {
            let record: crate::value::Document = serde_json::from_str(json).expect("JSON");
            index.unique_keys_of(&record).expect("not too much")
        });
        keys.map(Arc::new).collect()
    }

    #[test]
    fn keys_are_looked_for_by_the_values_of_the_last_field() {
        let index: Index = "a".parse().expect("an index");
        let asked = keys(&index, &[r#"{"a":2}"#, r#"{"a":1}"#]);
        assert_eq!(
            filter(&index, &asked),
            doc! { "a": { "$in": [1_i64, 2_i64] } }
        );
        let index: Index = "t,a.b".parse().expect("an index");
        let of_one = keys(&index, &[r#"{"t":"T","a":{"b":[1,2]}}"#]);
        let branch = |t: &str, of: &[i64]| doc! { "t": { "$eq": t }, "a.b": { "$in": of } };
        assert_eq!(filter(&index, &of_one), branch("T", &[1, 2]));
        let of_two = [&of_one[..], &keys(&index, &[r#"{"t":"S","a":{"b":3}}"#])].concat();
        let both = doc! { "$or": [branch("S", &[3]), branch("T", &[1, 2])] };
        assert_eq!(filter(&index, &of_two), both);
    }

    #[test]
    fn of_fields_within_each_other_the_outer_one_is_read() {
        let index: Index = "a.b,a,ab".parse().expect("an index");
        let names = fields(&index);
        let names: Vec<&str> = names.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["a", "ab", "_version", "_seq", "_createdAt", "_updatedAt"]
        );
    }
}
