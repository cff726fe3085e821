//! What an index is declared to be.

use std::fmt;
use std::str::FromStr;

use crate::limits;
use crate::query::{Direction, FieldPath, Sort};

/// Some fields of all events, in an order: `status,-due`. Cheap to compare by its name, which is how it was declared.
#[derive(Debug, Clone)]
pub struct Index {
    name: String,
    pub(super) fields: Vec<IndexField>,
    is_unique: bool,
}

#[derive(Debug, Clone)]
pub(super) struct IndexField {
    pub(super) path: FieldPath,
    pub(super) direction: Direction,
    /// What a record is sorted by, if it is sorted by this field alone.
    pub(super) ascending: Sort,
    pub(super) descending: Sort,
}

impl Index {
    /// The fields as they were declared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same index, of whose values no two events may hold the same.
    ///
    /// # Errors
    /// If it has a field that cannot be unique.
    pub fn unique(self) -> Result<Self, String> {
        for IndexField { path, .. } in &self.fields {
            let path = path.as_str();
            if path.starts_with('_') {
                return Err(format!("{path} is the server's: it cannot be unique"));
            }
        }
        if let Some(path) = self.path_with_number() {
            let reason = "a number on its path may name an element, so it cannot be unique";
            return Err(format!("{path}: {reason}"));
        }
        Ok(Self {
            is_unique: true,
            ..self
        })
    }

    /// The path of its first field.
    pub fn first_path(&self) -> &str {
        let first = self.fields.first();
        first.expect("an index has a field").path.as_str()
    }

    /// Whether no two events may hold the same.
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// The first of its paths with a number on it.
    pub(crate) fn path_with_number(&self) -> Option<&str> {
        let paths = self.fields.iter().map(|field| &field.path);
        let mut numbered = paths.filter(|path| {
            let mut segments = path.segments().iter();
            segments.any(|segment| segment.index.is_some())
        });
        numbered.next().map(FieldPath::as_str)
    }

    /// Its fields in order.
    #[cfg(feature = "mongodb")]
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&FieldPath, Direction)> {
        self.fields
            .iter()
            .map(|field| (&field.path, field.direction))
    }
}

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Index {}

impl fmt::Display for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// Paths with commas between, a `-` before each that descends.
impl FromStr for Index {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<IndexField> = text
            .split(',')
            .map(|field| IndexField::parse(field.trim()))
            .collect::<Result<_, _>>()?;
        if fields.len() > limits::INDEX_FIELDS_MAX {
            let most = limits::INDEX_FIELDS_MAX;
            return Err(format!("{text}: an index has at most {most} fields"));
        }
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|other| other.path == field.path) {
                return Err(format!("{text} names {} twice", field.path.as_str()));
            }
        }
        let names: Vec<String> = fields.iter().map(IndexField::to_string).collect();
        Ok(Self {
            name: names.join(","),
            fields,
            is_unique: false,
        })
    }
}

impl IndexField {
    fn parse(text: &str) -> Result<Self, String> {
        let (path, direction) = match text.strip_prefix('-') {
            Some(path) => (path, Direction::Descending),
            None => (text, Direction::Ascending),
        };
        if path == "_id" {
            return Err("_id needs no index: it ends every other".to_owned());
        }
        let path = FieldPath::parse(path, "").map_err(|invalid| match path {
            "" => "expected the path of a field, such as owner or -due".to_owned(),
            _ => format!("{path}: {}", invalid.reason),
        })?;
        Ok(Self {
            ascending: Sort::by(path.clone(), Direction::Ascending),
            descending: Sort::by(path.clone(), Direction::Descending),
            path,
            direction,
        })
    }
}

impl fmt::Display for IndexField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Ascending => formatter.write_str(self.path.as_str()),
            Direction::Descending => write!(formatter, "-{}", self.path.as_str()),
        }
    }
}

/// Checks what was declared together.
///
/// # Errors
/// If one is declared twice, or there are too many.
pub fn check_declared(indexes: &[Index]) -> Result<(), String> {
    if indexes.len() > limits::INDEXES_MAX {
        let most = limits::INDEXES_MAX;
        return Err(format!("at most {most} indexes can be declared"));
    }
    for (place, index) in indexes.iter().enumerate() {
        if indexes[..place].contains(index) {
            return Err(format!("{index} is declared twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<Index>().map(|index| index.name().to_owned())
    }

    #[test]
    fn an_index_is_named_as_it_is_declared() {
        for (text, name) in [
            ("owner", "owner"),
            ("status, -due", "status,-due"),
            ("-a.b.0,_createdAt", "-a.b.0,_createdAt"),
        ] {
            assert_eq!(parse(text), Ok(name.to_owned()));
        }
    }

    #[test]
    fn what_can_be_no_index_is_refused() {
        for (text, reason) in [
            ("", "expected the path of a field, such as owner or -due"),
            ("-", "expected the path of a field, such as owner or -due"),
            ("a,", "expected the path of a field, such as owner or -due"),
            ("a..b", "a..b: a path must not have empty segments"),
            ("$a", "$a: $a cannot be the name of a field"),
            ("a,_id", "_id needs no index: it ends every other"),
            ("a,b,-a", "a,b,-a names a twice"),
            ("a,b,c,d,e", "a,b,c,d,e: an index has at most 4 fields"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_unique_is_refused() {
        let unique = |text: &str| text.parse::<Index>().and_then(Index::unique);
        assert!(unique("tenant,-a.b").is_ok_and(|index| index.is_unique()));
        for (text, reason) in [
            ("a,_seq", "_seq is the server's: it cannot be unique"),
            (
                "a,b.0.c",
                "b.0.c: a number on its path may name an element, so it cannot be unique",
            ),
        ] {
            assert_eq!(unique(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn an_index_is_declared_once_and_not_too_many_are() {
        let index = |text: &str| text.parse::<Index>().expect("an index");
        assert!(check_declared(&[index("a"), index("-a")]).is_ok());
        let twice = check_declared(&[index("a, b"), index("a,b")]);
        assert_eq!(twice, Err("a,b is declared twice".to_owned()));
        let many: Vec<Index> = (0..=limits::INDEXES_MAX)
            .map(|n| index(&format!("f{n}")))
            .collect();
        assert!(check_declared(&many).is_err() && check_declared(&many[1..]).is_ok());
    }
}
