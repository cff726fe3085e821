//! What a server proves its name with: a certificate and its key, in files that are read again when they change.
//!
//! - `files`: the two files, and what is wrong with them.
//! - `identity`: what is made of them, and exchanged while connections live.

mod files;
mod identity;

pub use files::TlsFiles;
pub use identity::TlsIdentity;
