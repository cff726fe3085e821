//! The identity of the collections that a node has opened. Others can drop one, or put another in its place, and
//! MongoDB would make it anew, without indexes, with the next write: then the node must end.

use std::collections::HashMap;

use bson::raw::RawDocument;
use bson::{Binary, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use super::open::collections::COLLECTIONS;
use super::wire::call::{CALL_DEADLINE, CallError, within};
use super::{EVENTS, REBUILD_PREFIX};

/// The UUIDs by which MongoDB tells collections of the same name apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CollectionUuids(HashMap<String, Option<Binary>>);

impl CollectionUuids {
    pub(super) async fn of(database: &Database) -> Result<Self, CallError> {
        let database = database.clone();
        let listed = within(CALL_DEADLINE, async move {
            let names = doc! { "name": { "$in": COLLECTIONS.as_slice() } };
            let listing = database.list_collections().filter(names).await?;
            listing.try_collect::<Vec<_>>().await
        });
        let listed = listed.await?.into_iter();
        Ok(Self(
            listed
                .map(|collection| (collection.name, collection.info.uuid))
                .collect(),
        ))
    }

    /// The first collection that is gone, or another now. The view is another after each rebuild.
    pub(super) fn first_lost(&self, now: &Self) -> Option<&'static str> {
        COLLECTIONS.into_iter().find(|name| {
            let (known, now) = (self.0.get(*name), now.0.get(*name));
            match *name {
                EVENTS => now.is_none(),
                _ => known != now,
            }
        })
    }
}

/// The notifications of a change stream that [`lost_collection`] needs.
pub(super) fn collection_events() -> Document {
    doc! { "operationType": { "$in": ["drop", "rename"] } }
}

/// The collection that was dropped or renamed, or that another was put in the place of. A rebuild puts its view in the
/// place of the old one, which is no loss.
pub(super) fn lost_collection(notification: &RawDocument) -> Option<&'static str> {
    let is_rename = match notification.get_str("operationType") {
        Ok("drop") => false,
        Ok("rename") => true,
        _ => return None,
    };
    let from = collection(notification, "ns")?;
    let known = |name: &str| COLLECTIONS.into_iter().find(|known| *known == name);
    if let Some(lost) = known(from) {
        return Some(lost);
    }
    let to = is_rename
        .then(|| collection(notification, "to"))
        .flatten()?;
    let lost = known(to)?;
    let is_swap = lost == EVENTS && from.starts_with(REBUILD_PREFIX);
    (!is_swap).then_some(lost)
}

fn collection<'a>(notification: &'a RawDocument, field: &str) -> Option<&'a str> {
    notification.get_document(field).ok()?.get_str("coll").ok()
}

/// Why the node ends.
pub(super) fn reason(lost: &str) -> String {
    format!("its collection {lost} was dropped, or another was put in its place")
}

#[cfg(test)]
mod tests {
    use bson::RawDocumentBuf;

    use super::*;

    fn lost(kind: &str, from: &str, to: &str) -> Option<&'static str> {
        let event = doc! { "operationType": kind, "ns": { "coll": from }, "to": { "coll": to } };
        lost_collection(&RawDocumentBuf::try_from(&event).expect("small"))
    }

    #[test]
    fn what_others_drop_or_rename_is_lost_and_a_rebuilds_swap_is_none() {
        assert_eq!(lost("drop", "log", ""), Some("log"));
        assert_eq!(lost("drop", "events", ""), Some("events"));
        assert_eq!(lost("rename", "meta", "theirs"), Some("meta"));
        assert_eq!(lost("rename", "theirs", "log"), Some("log"));
        assert_eq!(lost("rename", "theirs", "events"), Some("events"));
        assert_eq!(lost("rename", "events_rebuild_7", "events"), None);
        assert_eq!(lost("rename", "events_rebuild_7", "log"), Some("log"));
        assert_eq!(lost("drop", "theirs", ""), None);
        assert_eq!(lost("insert", "log", ""), None);
    }
}
