//! The names that livelog's database may have.

/// MongoDB's own databases: a log among its users and its oplog would be lost with the next repair of those.
const RESERVED: [&str; 3] = ["admin", "config", "local"];

/// MongoDB's bound on the name of a database.
const NAME_BYTES_MAX: usize = 63;

/// Characters that MongoDB refuses in names, on any system that its server runs on.
const FORBIDDEN: [char; 6] = ['/', '\\', '.', ' ', '"', '$'];

/// Why livelog's database cannot have a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// One of MongoDB's own.
    #[error("the database {0} is MongoDB's own")]
    Reserved(String),
    /// Nothing.
    #[error("a database needs a name")]
    Empty,
    /// Longer than MongoDB takes.
    #[error("the name of a database has at most {NAME_BYTES_MAX} bytes, and this has {0}")]
    TooLong(usize),
    /// MongoDB takes it in no name.
    #[error("the name of a database must not have {character:?} in it, as {name:?} has")]
    Character { name: String, character: char },
}

/// Checks a name before anything is created under it.
///
/// # Errors
/// If MongoDB refuses such a name, or keeps something of its own under it.
pub(super) fn check(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if RESERVED.contains(&name) {
        return Err(BadName::Reserved(name.to_owned()));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong(name.len()));
    }
    let forbidden = |character: &char| FORBIDDEN.contains(character) || character.is_control();
    match name.chars().find(forbidden) {
        Some(character) => Err(BadName::Character {
            name: name.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mongodb_takes_are_taken() {
        for name in ["events_db", "a", "Événements", "a-b:c*d", &"x".repeat(63)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_mongodb_refuses_or_owns_are_refused() {
        let long = "x".repeat(64);
        for name in [
            "", "admin", "local", "config", "a.b", "a b", "a/b", "a\\b", "a\"b", "$a", "a\0b",
            "a\nb", &long,
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
