//! Adoption: what the documents of another program become here. Pure; reading them is for [`store`](crate::store)
//! (a collection of MongoDB's) and [`offline`](crate::offline) (files).
//!
//! A document is [`Given`] with what BSON knows and JSON does not still apart, and is converted by one table, wherever
//! it came from. Nothing is guessed and nothing gets lost in silence: what has no place is a [`Refusal`], which names
//! it and says how to mend it, and what changes its kind is counted in a [`Tally`].
//!
//! | given | becomes |
//! |---|---|
//! | text, integer of 32 or 64 bits, double, boolean, null, array, document | the same; integers exactly |
//! | a double that is not finite | `null`, as JSON has it |
//! | ObjectId | 24 hexadecimal digits |
//! | date | RFC 3339 in UTC with milliseconds; outside of the years 0 to 9999 refused |
//! | Decimal128 | its text |
//! | binary; a UUID (subtype 4) | base64; its usual text |
//! | timestamp | `{"t":…,"i":…}` |
//! | regular expression | `/pattern/options` |
//! | symbol, code | text; code with a scope `{"code":…,"scope":…}` |
//! | DBRef, DBPointer | the same document with `ref`, `id`, `db` |
//! | MinKey, MaxKey | `"MinKey"`, `"MaxKey"` |
//! | undefined | `null` |
//!
//! Of a document's own fields, `_id` becomes the event's id, `createdAt` and `updatedAt` become `_createdAt` and
//! `_updatedAt` if they are times, and `__v` is left out.

mod convert;
mod extended_json;
mod given;
mod ids;
mod renames;
mod tally;

pub use convert::{Converter, Refusal};
pub use extended_json::{extended, plain};
pub use given::{Given, GivenFields};
pub use renames::Renames;
pub use tally::{Kind, Tally};
