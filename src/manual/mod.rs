//! The manual: for who uses livelog, and for who changes it.
//!
//! Pages are Markdown, so that they read the same here, beside the source, and wherever they are served. `links.md` makes
//! items of the names by which they link to each other; see [Maintaining](maintaining#change-the-manual).
//!
#![doc = include_str!("links.md")]
#![doc = include_str!("index.md")]

#[doc = include_str!("links.md")]
#[doc = include_str!("../../README.md")]
pub mod readme {}

#[doc = include_str!("links.md")]
#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("links.md")]
#[doc = include_str!("wire.md")]
pub mod wire {}

#[doc = include_str!("links.md")]
#[doc = include_str!("subscriptions.md")]
pub mod subscriptions {}

#[doc = include_str!("links.md")]
#[doc = include_str!("console.md")]
pub mod console {}

#[doc = include_str!("links.md")]
#[doc = include_str!("client.md")]
pub mod client {}

#[doc = include_str!("links.md")]
#[doc = include_str!("socketio.md")]
pub mod socketio {}

#[doc = include_str!("links.md")]
#[doc = include_str!("filters.md")]
pub mod filters {}

#[doc = include_str!("links.md")]
#[doc = include_str!("indexes.md")]
pub mod indexes {}

#[doc = include_str!("links.md")]
#[doc = include_str!("updates.md")]
pub mod updates {}

#[doc = include_str!("links.md")]
#[doc = include_str!("past.md")]
pub mod past {}

#[doc = include_str!("links.md")]
#[doc = include_str!("promises.md")]
pub mod promises {}

#[doc = include_str!("links.md")]
#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("links.md")]
#[doc = include_str!("access.md")]
pub mod access {}

#[doc = include_str!("links.md")]
#[doc = include_str!("deploying.md")]
pub mod deploying {}

#[doc = include_str!("links.md")]
#[doc = include_str!("adopting.md")]
pub mod adopting {}

#[doc = include_str!("links.md")]
#[doc = include_str!("moving.md")]
pub mod moving {}

#[doc = include_str!("links.md")]
#[doc = include_str!("figures.md")]
pub mod figures {}

#[doc = include_str!("links.md")]
#[doc = include_str!("maintaining.md")]
pub mod maintaining {}

#[doc = include_str!("links.md")]
#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("links.md")]
#[doc = include_str!("changelog.md")]
pub mod changelog {}
