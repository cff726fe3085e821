//! Whether the user of the address may write to a database, found out without writing to it.

use bson::{Document, doc};
use mongodb::Database;

use super::MongoOpenError;
use crate::store::mongo::LOG;
use crate::store::mongo::wire::call::{CALL_DEADLINE, within};

/// What making and filling a livelog takes.
const ACTIONS: [&str; 3] = ["insert", "update", "createIndex"];

/// # Errors
/// [`MongoOpenError::NotWritable`] if there are users, and this one may not.
pub(super) async fn ensure_writable(database: &Database) -> Result<(), MongoOpenError> {
    let admin = database.client().database("admin");
    let status = within(CALL_DEADLINE, async move {
        let command = doc! { "connectionStatus": 1, "showPrivileges": true };
        admin.run_command(command).await
    });
    let status = status.await?;
    let Ok(status) = status.get_document("authInfo") else {
        return Ok(());
    };
    match missing(status, database.name()) {
        None => Ok(()),
        Some(action) => Err(MongoOpenError::NotWritable {
            name: database.name().to_owned(),
            action,
        }),
    }
}

/// The first action that the user may not do; `None` if there is none, or nobody has to say who they are.
fn missing(status: &Document, database: &str) -> Option<&'static str> {
    let documents = |name| status.get_array(name).into_iter().flatten();
    documents("authenticatedUsers").next()?;
    let privileges =
        documents("authenticatedUserPrivileges").filter_map(|found| found.as_document());
    let granted: Vec<&Document> = privileges.filter(|found| is_of(found, database)).collect();
    let is_granted = |action: &&str| {
        let mut actions = granted
            .iter()
            .filter_map(|found| found.get_array("actions").ok());
        actions.any(|actions| actions.iter().any(|found| found.as_str() == Some(*action)))
    };
    ACTIONS.into_iter().find(|action| !is_granted(action))
}

/// Whether a privilege is of the log in this database.
fn is_of(privilege: &Document, database: &str) -> bool {
    let Ok(resource) = privilege.get_document("resource") else {
        return false;
    };
    let is_any = resource.get_bool("anyResource").unwrap_or(false);
    let is_named = resource
        .get_str("db")
        .is_ok_and(|found| [database, ""].contains(&found));
    let of_log = |found: &str| [LOG, ""].contains(&found);
    is_any || (is_named && resource.get_str("collection").is_ok_and(of_log))
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    fn status(resource: bson::Bson, actions: &[&str]) -> Document {
        doc! {
            "authenticatedUsers": [{ "user": "u", "db": "admin" }],
            "authenticatedUserPrivileges": [{ "resource": resource, "actions": actions }],
        }
    }

    #[test]
    fn a_user_that_may_only_read_or_write_elsewhere_is_told_what_is_missing() {
        let reads = status(
            bson!({ "db": "a", "collection": "" }),
            &["find", "listIndexes"],
        );
        assert_eq!(missing(&reads, "a"), Some("insert"));
        let elsewhere = status(bson!({ "db": "b", "collection": "" }), &ACTIONS);
        assert_eq!(missing(&elsewhere, "a"), Some("insert"));
        let narrow = status(bson!({ "db": "a", "collection": "others" }), &ACTIONS);
        assert_eq!(missing(&narrow, "a"), Some("insert"));
    }

    #[test]
    fn whoever_may_write_everywhere_or_needs_no_name_may_write() {
        for resource in [
            bson!({ "db": "a", "collection": "" }),
            bson!({ "db": "", "collection": "" }),
            bson!({ "db": "a", "collection": "log" }),
            bson!({ "anyResource": true }),
        ] {
            assert_eq!(missing(&status(resource, &ACTIONS), "a"), None);
        }
        let nobody = doc! { "authenticatedUsers": [], "authenticatedUserPrivileges": [] };
        assert_eq!(missing(&nobody, "a"), None);
    }
}
