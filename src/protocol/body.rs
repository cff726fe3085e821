//! The bodies of requests over HTTP: a payload without a message around it.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::code::Code;
use super::failure::Failure;
use crate::value::{Document, read, read_as_it_is};

/// Why a BROADCAST takes no command id.
pub const BROADCAST_IS_NOT_KEPT: &str =
    "a broadcast is sent at most once and kept nowhere, so no id can tell that it comes again";

/// Reads the body of a request as a document; `at` is its path in the payload that it stands for.
///
/// # Errors
/// If it is not a JSON object, or holds what livelog does not take.
pub fn read_document(json: &[u8], at: &str) -> Result<Document, Failure> {
    Ok(read(utf8(json)?, at)?)
}

/// Reads the payload of a BROADCAST: JSON text, kept as it was written.
///
/// # Errors
/// If it is not JSON, holds what livelog does not take, or is nested too deep.
pub fn read_broadcast(payload: &str) -> Result<Arc<RawValue>, Failure> {
    Ok(read_as_it_is(payload, "payload")?.into())
}

/// The text of a body: JSON is UTF-8 (RFC 8259, 8.1), and other bytes are refused, not replaced.
///
/// # Errors
/// If it is not UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body).map_err(|_| Failure::new(Code::MalformedJson, "the body is no UTF-8"))
}
