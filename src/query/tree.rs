//! The tree of a parsed filter. Its shape is the shape of the filter as it was written, one variant an operator, so a
//! store can write it down again in the words of its database.
//!
//! `parse` makes it, `matching` evaluates it, `index` reads from it what a matching record must have.

use super::path::FieldPath;
use super::pattern::Pattern;
use crate::value::Value;

/// A condition on a record, or on an element of an array that is a document or array itself.
#[derive(Debug, Clone)]
pub(crate) enum FilterNode {
    /// All of them hold; true of an empty list.
    And(Vec<FilterNode>),
    Or(Vec<FilterNode>),
    Nor(Vec<FilterNode>),
    Field {
        path: FieldPath,
        clauses: Vec<Clause>,
    },
}

/// One operator on a field. A path may lead to several values: all clauses on a field must hold, but not all for the
/// same value.
#[derive(Debug, Clone)]
pub(crate) enum Clause {
    /// Some value passes.
    Is(Test),
    /// No value passes: `$ne`, `$nin`, `$exists: false`.
    IsNot(Test),
    /// Each test is passed by some value; false of an empty list: `$all`.
    All(Vec<Test>),
    /// Not all of these hold: `$not`.
    Not(Vec<Clause>),
}

/// A test of one value.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Compare(Relation, Value),
    /// Sorted, for binary search.
    In(Vec<Value>),
    Exists,
    Type(Vec<Type>),
    Size(usize),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Regex(Pattern),
    /// An array with an element, itself an object or array, for which the node holds.
    ElementWhere(Box<FilterNode>),
    /// An array with an element for which, taken alone, every clause holds.
    ElementThat(Vec<Clause>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The types that `$type` knows, by MongoDB's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Double,
    String,
    Object,
    Array,
    Bool,
    Null,
    /// Every integer: all have 64 bits.
    Long,
    Number,
}

/// The condition of a `$pull` on one element.
#[derive(Debug)]
pub(super) enum ElementTest {
    Equal(Value),
    /// The element is a document for which the node holds.
    Fields(FilterNode),
    Operators(Vec<Clause>),
}
