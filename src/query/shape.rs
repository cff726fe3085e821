//! The shape of a query: which conditions on which fields, without a value of them. For logs.

use std::fmt;
use std::fmt::Write;

use super::Query;
use super::sort::Direction;
use super::tree::{Clause, FilterNode, Relation, Test};

/// Longer ones are cut off.
const SHAPE_BYTES_MAX: usize = 400;

impl Query {
    /// Its shape: `and(owner =, due >) sort -due limit`. Names of fields come from clients, and are quoted where they are
    /// not plain.
    pub fn shape(&self) -> String {
        let mut shape = ShapeText(String::new());
        // An error says that the shape is long enough.
        let _is_whole = shape.query(self);
        shape.0
    }
}

/// Text that takes no more than its bound.
struct ShapeText(String);

impl Write for ShapeText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > SHAPE_BYTES_MAX {
            self.0.push('…');
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl ShapeText {
    fn query(&mut self, query: &Query) -> fmt::Result {
        if !query.filter.is_everything() {
            self.node(&query.filter.root)?;
        }
        for key in query.sort.keys().iter().take_while(|key| !key.is_id()) {
            let sign = match key.direction {
                Direction::Ascending => "",
                Direction::Descending => "-",
            };
            self.space()?;
            write!(self, "sort {sign}")?;
            self.path(key.path.as_str())?;
        }
        let words = [("limit", query.limit.is_some()), ("count", query.counts)];
        for (word, _) in words.into_iter().filter(|(_, is_there)| *is_there) {
            self.space()?;
            self.write_str(word)?;
        }
        Ok(())
    }

    /// Between what there is and what follows.
    fn space(&mut self) -> fmt::Result {
        match self.0.is_empty() {
            true => Ok(()),
            false => self.write_str(" "),
        }
    }

    fn node(&mut self, node: &FilterNode) -> fmt::Result {
        let (word, nodes) = match node {
            FilterNode::And(nodes) => ("and", nodes),
            FilterNode::Or(nodes) => ("or", nodes),
            FilterNode::Nor(nodes) => ("nor", nodes),
            FilterNode::Field { path, clauses } => {
                self.path(path.as_str())?;
                return clauses.iter().try_for_each(|clause| self.clause(clause));
            }
        };
        write!(self, "{word}(")?;
        for (place, node) in nodes.iter().enumerate() {
            if place > 0 {
                self.write_str(", ")?;
            }
            self.node(node)?;
        }
        self.write_str(")")
    }

    fn path(&mut self, path: &str) -> fmt::Result {
        let is_plain = path
            .chars()
            .all(|letter| letter.is_alphanumeric() || "._-".contains(letter));
        match is_plain {
            true => self.write_str(path),
            false => write!(self, "{path:?}"),
        }
    }

    fn clause(&mut self, clause: &Clause) -> fmt::Result {
        match clause {
            Clause::Is(test) => write!(self, " {}", word(test)),
            Clause::IsNot(test) => write!(self, " not {}", word(test)),
            Clause::All(_) => self.write_str(" all"),
            Clause::Not(_) => self.write_str(" not"),
        }
    }
}

fn word(test: &Test) -> &'static str {
    match test {
        Test::Compare(Relation::Equal, _) => "=",
        Test::Compare(Relation::Greater, _) => ">",
        Test::Compare(Relation::GreaterOrEqual, _) => ">=",
        Test::Compare(Relation::Less, _) => "<",
        Test::Compare(Relation::LessOrEqual, _) => "<=",
        Test::In(_) => "in",
        Test::Exists => "exists",
        Test::Type(_) => "type",
        Test::Size(_) => "size",
        Test::Mod { .. } => "mod",
        Test::Regex(_) => "regex",
        Test::ElementWhere(_) | Test::ElementThat(_) => "element",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Document;

    fn shape(json: &str) -> String {
        let asked: Document = serde_json::from_str(json).expect("the test's own JSON");
        Query::parse(&asked, "").expect("a good query").shape()
    }

    #[test]
    fn a_shape_tells_fields_and_conditions_and_no_value() {
        let query = r#"{"filter":{"owner":"secret","due":{"$gt":5,"$lt":9},"$or":[{"a b":1},{"c":{"$exists":false}}]},"sort":{"due":-1},"limit":20}"#;
        assert_eq!(
            shape(query),
            r#"and(owner =, due > <, or("a b" =, c not exists)) sort -due limit"#
        );
    }

    #[test]
    fn what_is_not_asked_is_not_in_it() {
        assert_eq!(shape(r#"{"sort":{"n":1},"limit":5}"#), "sort n limit");
        assert_eq!(shape("{}"), "");
    }

    #[test]
    fn a_shape_is_short() {
        let fields: Vec<String> = (0..60).map(|n| format!(r#""field{n}":1"#)).collect();
        let long = shape(&format!(r#"{{"filter":{{{}}}}}"#, fields.join(",")));
        assert!(long.len() < 410 && long.ends_with('…'), "{long}");
    }
}
