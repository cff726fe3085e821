//! Checks that collections under livelog's names can keep a log, before anything is changed: others may have created
//! them, with options or indexes that lose or refuse documents.

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::options::IndexOptions;
use mongodb::results::{CollectionSpecification, CollectionType};
use mongodb::{Database, IndexModel};

use super::collections;
use super::collections::{COLLECTIONS, IndexSpec, same_keys};
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};

/// Why a collection cannot be used, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incompatibility {
    pub(super) found: String,
    pub(super) remedy: String,
}

/// The first reason why a collection of this database cannot be used.
pub(super) async fn first_incompatibility(
    database: &Database,
) -> Result<Option<Incompatibility>, CallError> {
    let (listed, names) = (database.clone(), COLLECTIONS.as_slice());
    let collections = within(CALL_DEADLINE, async move {
        let listing = listed
            .list_collections()
            .filter(doc! { "name": { "$in": names } });
        listing.await?.try_collect::<Vec<_>>().await
    });
    for collection in collections.await? {
        if let Some(incompatibility) = check_options(&collection) {
            return Ok(Some(incompatibility));
        }
        let name = collection.name;
        let indexes = database.collection::<Document>(&name);
        let indexes = within(CALL_DEADLINE, async move {
            let indexes = indexes.list_indexes().await?;
            indexes.try_collect::<Vec<IndexModel>>().await
        });
        let indexes = indexes.await?;
        let mut incompatible = indexes.iter().filter_map(|index| check_index(&name, index));
        if let Some(incompatibility) = incompatible.next() {
            return Ok(Some(incompatibility));
        }
    }
    Ok(None)
}

fn check_options(collection: &CollectionSpecification) -> Option<Incompatibility> {
    let (name, options) = (&collection.name, &collection.options);
    let incompatible = |found: &str, remedy: String| {
        let found = format!("its collection {name} {found}");
        Some(Incompatibility { found, remedy })
    };
    let copy = format!(
        "Make it an ordinary one: db.{name}.aggregate([{{$out: \"{name}_copy\"}}]), then \
         db.{name}_copy.renameCollection(\"{name}\", true); or, if it is empty, db.{name}.drop()"
    );
    if !matches!(collection.collection_type, CollectionType::Collection) {
        return incompatible(
            "is no ordinary collection",
            "Give it another name".to_owned(),
        );
    }
    if options.capped == Some(true) {
        return incompatible(
            "is capped: of what is written there, MongoDB drops the oldest",
            copy,
        );
    }
    if options.collation.is_some() {
        return incompatible("has a collation: by it, ids that differ are the same", copy);
    }
    if collections::has_validator(options) {
        let remedy =
            format!("Take it away: db.runCommand({{collMod: \"{name}\", validator: {{}}}})");
        return incompatible(
            "has a validator, which may refuse what livelog writes",
            remedy,
        );
    }
    None
}

/// An index that conflicts with one of livelog's, or by which MongoDB removes documents.
fn check_index(collection: &str, found: &IndexModel) -> Option<Incompatibility> {
    let own = collections::indexes();
    let own = own.iter().filter(|own| own.collection == collection);
    let options = found.options.clone().unwrap_or_default();
    let name = options.name.clone().unwrap_or_default();
    let mut conflicts = own.map(|own| conflict(own, &found.keys, &options));
    let reason = match conflicts.find_map(|conflict| conflict) {
        Some(Conflict::None) => return None,
        Some(Conflict::Other) => "in the place of one of livelog's own, and is another",
        None if options.expire_after.is_some() => "by which MongoDB removes documents",
        None => return None,
    };
    Some(Incompatibility {
        found: format!("its collection {collection} has an index {name:?} {reason}"),
        remedy: format!("Drop it: db.{collection}.dropIndex({name:?})"),
    })
}

enum Conflict {
    /// It is livelog's own.
    None,
    /// It is another one, and livelog's cannot be made beside it.
    Other,
}

/// `None` if they have nothing to do with each other.
fn conflict(own: &IndexSpec, keys: &Document, options: &IndexOptions) -> Option<Conflict> {
    let model = &own.model;
    let wanted = model.options.clone().unwrap_or_default();
    let has_same_keys = same_keys(&model.keys, keys);
    let is_same = has_same_keys
        && options.expire_after == wanted.expire_after
        && options.unique.unwrap_or(false) == wanted.unique.unwrap_or(false)
        && options.partial_filter_expression == wanted.partial_filter_expression
        && !options.sparse.unwrap_or(false)
        && options.collation.is_none();
    if is_same {
        return Some(Conflict::None);
    }
    let has_same_name = options.name.as_deref() == Some(&own_name(&model.keys));
    (has_same_keys || has_same_name).then_some(Conflict::Other)
}

/// The name that the driver gives to an index with these keys.
fn own_name(keys: &Document) -> String {
    let parts = keys.iter().map(|(name, order)| format!("{name}_{order}"));
    parts.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn livelogs_own_indexes_are_fit_and_others_beside_them_too() {
        for own in collections::indexes() {
            let mut found = own.model.clone();
            let named = found.options.get_or_insert_default();
            named.name = Some(own_name(&own.model.keys));
            assert_eq!(check_index(own.collection, &found), None, "{found:?}");
        }
        let beside = IndexModel::builder().keys(doc! { "data.title": 1 }).build();
        assert_eq!(check_index("log", &beside), None);
    }
}
