//! Files for browsers, which the binary carries: the client, the console and the manual.
//!
//! A debug build reads them from the source at each request, so that who works on a page sees a change at once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::bufread::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

use crate::protocol::{Code, Failure};
use crate::transport::http::accept::takes_gzip;
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
    let data = Cow::Borrowed(text.as_bytes());
    reply(name, data, tag(&Sha256::digest(text)), headers)
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
    reply(name, data, tag(&metadata.sha256_hash()), headers)
}

/// A quarter of a file's digest: two files that are served by turns under one name differ in it.
type Tag = [u8; 8];

fn tag(digest: &[u8]) -> Tag {
    *digest.first_chunk().expect("a digest is longer")
}

fn reply(
    name: &str,
    data: Cow<'static, [u8]>,
    tag: Tag,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let is_gzipped = takes_gzip(headers);
    // What differs in its bytes differs in its tag (RFC 9110, 8.8.3.3).
    let etag = match is_gzipped {
        true => format!("\"{}-gzip\"", hex(&tag)),
        false => format!("\"{}\"", hex(&tag)),
    };
    let is_current = conditions::is_current(headers, &etag)?;
    let vary = (VARY, "accept-encoding");
    let fixed = [PAGE_POLICY, REVALIDATED, vary, (ETAG, &etag)];
    if is_current {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    let kind = [(CONTENT_TYPE, content_type(name))];
    if is_gzipped {
        let coding = [(CONTENT_ENCODING, "gzip")];
        return Ok((fixed, kind, coding, Body::from(gzipped(tag, &data))).into_response());
    }
    let body = match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Ok((fixed, kind, Body::from(body)).into_response())
}

/// The files that somebody asked for gzipped: at most all that there are.
static GZIPPED: LazyLock<Mutex<HashMap<Tag, Bytes>>> = LazyLock::new(Mutex::default);

fn gzipped(tag: Tag, data: &[u8]) -> Bytes {
    let files = || GZIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = files().get(&tag) {
        return file.clone();
    }
    let mut file = Vec::new();
    let mut encoder = GzEncoder::new(data, Compression::best());
    encoder.read_to_end(&mut file).expect("memory can be read");
    files().entry(tag).or_insert_with(|| file.into()).clone()
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
