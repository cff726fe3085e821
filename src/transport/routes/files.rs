//! Files for browsers, which the binary carries: the client, the console and the manual.
//!
//! A debug build reads them from the source at each request, so that who works on a page sees a change at once.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

use crate::protocol::{Code, Failure};
use crate::transport::http::conditions;
use crate::value::hex;

#[derive(RustEmbed)]
#[folder = "src/clients/js/"]
struct ClientFiles;

#[derive(RustEmbed)]
#[folder = "src/console/"]
struct ConsoleFiles;

#[derive(RustEmbed)]
#[folder = "src/manual/"]
struct ManualFiles;

const README: &str = include_str!("../../../README.md");

/// By its short name, the client is the same module as by its long one: a page that loads both has one.
const CLIENT: &str = "export * from './client/livelog.js';\n";

/// What a page of this server may load and do. Nothing of what it shows, which anybody may have written, can run.
const PAGE_POLICY: (HeaderName, &str) = (
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);

/// Another binary has other files under the same names.
const REVALIDATED: (HeaderName, &str) = (CACHE_CONTROL, "no-cache");

pub(crate) async fn client(headers: HeaderMap) -> Result<Response, Failure> {
    text("client.js", CLIENT, &headers)
}

pub(crate) async fn client_file(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    answer(&name, ClientFiles::get(&name), &headers)
}

pub(crate) async fn console(headers: HeaderMap) -> Result<Response, Failure> {
    answer("index.html", ConsoleFiles::get("index.html"), &headers)
}

pub(crate) async fn console_file(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    answer(&name, ConsoleFiles::get(&name), &headers)
}

pub(crate) async fn manual_page(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    match name.as_str() {
        "readme.md" => text(&name, README, &headers),
        _ => answer(&name, ManualFiles::get(&name), &headers),
    }
}

fn text(name: &str, text: &'static str, headers: &HeaderMap) -> Result<Response, Failure> {
    let etag = etag(&Sha256::digest(text));
    reply(name, Cow::Borrowed(text.as_bytes()), &etag, headers)
}

fn answer(
    name: &str,
    file: Option<EmbeddedFile>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    // There are no folders within; a debug build would find a way through them.
    let file = file.filter(|_| !name.contains('/'));
    let missing = || Failure::new(Code::NotFound, format!("there is no file {name:?} here"));
    let EmbeddedFile { data, metadata } = file.ok_or_else(missing)?;
    reply(name, data, &etag(&metadata.sha256_hash()), headers)
}

/// A quarter of the digest: two files that are served by turns under one name differ in it.
fn etag(digest: &[u8]) -> String {
    format!("\"{}\"", hex(&digest[..8]))
}

fn reply(
    name: &str,
    data: Cow<'static, [u8]>,
    etag: &str,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let fixed = [PAGE_POLICY, REVALIDATED, (ETAG, etag)];
    if conditions::is_current(headers, etag)? {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    let body = match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let kind = [(CONTENT_TYPE, content_type(name))];
    Ok((fixed, kind, Body::from(body)).into_response())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}
