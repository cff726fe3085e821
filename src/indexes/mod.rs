//! Declared indexes: what they are, where a record stands in one, and which a query is answered by.
//!
//! Pure: a store keeps the entries, and looks for them. What an index finds is a candidate: the whole filter is judged
//! on the record itself, so a range may be too wide, and never too narrow.
//!
//! ```text
//! plan -> ranges -> spans          a query: its plan, the ranges of keys, the values that conditions allow
//! covering  -^                     a filter that ranges decide by themselves
//!            \        \
//! declaration <- keys -> encoding  a record: its keys, as bytes that sort as values do
//! declaration <- unique, rules     a record: what no other may hold, and what no index can hold
//! ```

#![cfg_attr(
    not(feature = "embedded"),
    allow(
        dead_code,
        reason = "MongoDB keeps its indexes, and plans with them, by itself"
    )
)]

mod advice;
mod covering;
mod declaration;
mod encoding;
mod keys;
mod plan;
mod ranges;
mod rules;
mod spans;
#[cfg(test)]
mod tests;
mod unique;

pub use advice::advice;
#[cfg(any(feature = "embedded", test))]
pub(crate) use covering::{Covering, covering};
pub use declaration::{Index, check_declared};
#[cfg(any(feature = "embedded", test))]
pub(crate) use keys::FieldSet;
#[cfg(any(feature = "embedded", test))]
pub(crate) use plan::{Indexes, Plan, RangeLookup, plan};
#[cfg(any(feature = "embedded", test))]
pub(crate) use ranges::{KeyRange, OrderedRange};
pub use rules::IndexRules;
pub use unique::UniqueKey;
