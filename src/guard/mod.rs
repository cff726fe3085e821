//! Who may come in: the IO that access needs, and what is kept of it.

mod fetch;
mod jwks;

pub use fetch::{FetchError, KeyFetcher};
pub use jwks::{FetchPace, KeyServers};
