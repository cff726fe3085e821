//! Whether the collections that a node has opened are still those: others can drop one, or put another in its place, and
//! MongoDB would make it anew, without indexes, with the next write.

use std::collections::HashMap;

use bson::raw::RawDocument;
use bson::{Binary, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use super::EVENTS;
use super::open::layout::COLLECTIONS;
use super::wire::call::{CALL_DEADLINE, CallError, within};
use super::write::rebuild;

/// What MongoDB tells collections of the same name apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity(HashMap<String, Option<Binary>>);

impl Identity {
    pub(super) async fn of(database: &Database) -> Result<Self, CallError> {
        let database = database.clone();
        let found = within(CALL_DEADLINE, async move {
            let names = doc! { "name": { "$in": COLLECTIONS.as_slice() } };
            let listing = database.list_collections().filter(names).await?;
            listing.try_collect::<Vec<_>>().await
        });
        let found = found.await?.into_iter();
        Ok(Self(
            found.map(|found| (found.name, found.info.uuid)).collect(),
        ))
    }

    /// The collection that was one before and is none or another now. The view is another after each rebuild.
    pub(super) fn lost(&self, now: &Self) -> Option<&'static str> {
        COLLECTIONS.into_iter().find(|name| {
            let (known, found) = (self.0.get(*name), now.0.get(*name));
            match *name {
                EVENTS => found.is_none(),
                _ => known != found,
            }
        })
    }
}

/// What a change stream must tell besides, for [`loss`].
pub(super) fn events() -> Document {
    doc! { "operationType": { "$in": ["drop", "rename"] } }
}

/// The collection that is not what it was, if that is what is told. A rebuild puts its view in the place of the one
/// before.
pub(super) fn loss(news: &RawDocument) -> Option<&'static str> {
    let is_rename = match news.get_str("operationType") {
        Ok("drop") => false,
        Ok("rename") => true,
        _ => return None,
    };
    let from = collection(news, "ns")?;
    let known = |name: &str| COLLECTIONS.into_iter().find(|known| *known == name);
    if let Some(lost) = known(from) {
        return Some(lost);
    }
    let to = is_rename.then(|| collection(news, "to")).flatten()?;
    let lost = known(to)?;
    let is_swap = lost == EVENTS && from.starts_with(rebuild::PREFIX);
    (!is_swap).then_some(lost)
}

fn collection<'a>(news: &'a RawDocument, place: &str) -> Option<&'a str> {
    news.get_document(place).ok()?.get_str("coll").ok()
}

/// Why a node ends.
pub(super) fn reason(lost: &str) -> String {
    format!("its collection {lost} was dropped, or another was put in its place")
}

#[cfg(test)]
mod tests {
    use bson::RawDocumentBuf;

    use super::*;

    fn told(kind: &str, from: &str, to: &str) -> Option<&'static str> {
        let news = doc! { "operationType": kind, "ns": { "coll": from }, "to": { "coll": to } };
        loss(&RawDocumentBuf::try_from(&news).expect("small"))
    }

    #[test]
    fn what_others_drop_or_rename_is_lost_and_a_rebuilds_swap_is_none() {
        assert_eq!(told("drop", "log", ""), Some("log"));
        assert_eq!(told("drop", "events", ""), Some("events"));
        assert_eq!(told("rename", "meta", "theirs"), Some("meta"));
        assert_eq!(told("rename", "theirs", "log"), Some("log"));
        assert_eq!(told("rename", "theirs", "events"), Some("events"));
        assert_eq!(told("rename", "events_rebuild_7", "events"), None);
        assert_eq!(told("rename", "events_rebuild_7", "log"), Some("log"));
        assert_eq!(told("drop", "theirs", ""), None);
        assert_eq!(told("insert", "log", ""), None);
    }
}
