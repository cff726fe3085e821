//! What comes without a message around it: the bodies of requests over HTTP.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::code::Code;
use super::failure::Failure;
use crate::value::{Document, read, read_as_it_is};

/// Why a BROADCAST has no id of a command.
pub const BROADCAST_IS_NOT_KEPT: &str =
    "a broadcast is sent at most once and kept nowhere, so no id can tell that it comes again";

/// Reads a document that is no message: the body of a request, which stands for what is `at` in its payload.
///
/// # Errors
/// If it is no JSON object, or holds what livelog does not take.
pub fn read_document(json: &[u8], at: &str) -> Result<Document, Failure> {
    Ok(read(utf8(json)?, at)?)
}

/// Reads what a BROADCAST carries, JSON text.
///
/// # Errors
/// If it is no JSON, holds what livelog does not take, or is nested too deep.
pub fn read_broadcast(payload: &str) -> Result<Arc<RawValue>, Failure> {
    Ok(read_as_it_is(payload, "payload")?.into())
}

/// The text of a body: JSON is UTF-8 (RFC 8259, 8.1), and nothing takes the place of bytes that are not.
///
/// # Errors
/// If it is no UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body).map_err(|_| Failure::new(Code::MalformedJson, "the body is no UTF-8"))
}
