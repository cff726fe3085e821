//! The room against the filter and the order themselves: whatever matches is found, and in its place.

mod bounds;
mod coverings;
mod filters;
mod orders;
mod plans;
mod records;
mod shelf;
mod unique;
