//! The files for browsers that the binary carries: the client, the console and the manual.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH, ORIGIN};
use serde_json::Value;

use crate::support::{Database, Server};

async fn get(server: &Server, path: &str) -> (u16, HeaderMap, String) {
    let answer = server.http("GET", path).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.text().await.unwrap())
}

/// What stands in a folder of the source, by its address.
fn files(folder: &str, address: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        (format!("{address}{name}"), text)
    });
    files.collect()
}

fn kind(address: &str) -> &str {
    match address.rsplit_once('.').unwrap().1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

#[tokio::test]
async fn each_file_is_served_with_its_type_a_tag_and_a_strict_policy() {
    let server = Server::in_folder().await;
    let mut all = files("src/clients/js", "/client/");
    all.extend(files("src/console", "/console/"));
    all.extend(files("src/manual", "/manual/"));
    assert!(all.len() > 20, "{} files", all.len());
    for (address, text) in all {
        let (status, headers, body) = get(&server, &address).await;
        assert_eq!((status, body), (200, text), "{address}");
        assert_eq!(headers["content-type"], kind(&address), "{address}");
        assert_eq!(headers["cache-control"], "no-cache");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'; script-src 'self'"));
        assert!(policy.contains("require-trusted-types-for 'script'"));
        for tag in [headers["etag"].to_str().unwrap(), "\"x\", *", "*"] {
            let request = server.http("GET", &address).header(IF_NONE_MATCH, tag);
            let answer = request.send().await.unwrap();
            let expected = if tag == "\"x\", *" { 400 } else { 304 };
            assert_eq!(answer.status(), expected, "{address} {tag}");
        }
        let other = server.http("GET", &address).header(IF_NONE_MATCH, "\"x\"");
        assert_eq!(other.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_file_is_gzipped_for_who_takes_that_and_tagged_apart() {
    let server = Server::in_folder().await;
    let (address, coding) = ("/client/livelog.js", "gzip, br");
    let (_, plain, text) = get(&server, address).await;
    assert!(!plain.contains_key("content-encoding"));
    let ask = || server.http("GET", address).header(ACCEPT_ENCODING, coding);
    for _ in 0..2 {
        let answer = ask().send().await.unwrap();
        let headers = answer.headers().clone();
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(headers["content-type"], plain["content-type"]);
        for headers in [&headers, &plain] {
            let mut vary = headers.get_all("vary").iter();
            assert!(vary.any(|name| name == "accept-encoding"));
        }
        let body = answer.bytes().await.unwrap();
        assert!(body.len() * 2 < text.len(), "{} bytes", body.len());
        let mut read = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let own = ask().header(IF_NONE_MATCH, &headers["etag"]);
        assert_eq!(own.send().await.unwrap().status(), 304);
        let other = ask().header(IF_NONE_MATCH, &plain["etag"]);
        assert_eq!(other.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn the_console_the_client_and_the_readme_have_short_addresses() {
    let server = Server::in_folder().await;
    let (status, headers, page) = get(&server, "/").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert_eq!(page, get(&server, "/console/index.html").await.2);
    let (_, headers, client) = get(&server, "/client.js").await;
    assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(client, "export * from './client/livelog.js';\n");
    let (_, _, readme) = get(&server, "/manual/readme.md").await;
    assert!(readme.starts_with("# livelog\n"));
}

#[tokio::test]
async fn there_is_nothing_beside_the_files() {
    let server = Server::in_folder().await;
    for address in [
        "/client/",
        "/client/none.js",
        "/client/..%2Fjs%2Flivelog.js",
        "/client/..%2F..%2F..%2FCargo.toml",
        "/client/%2e%2e/%2e%2e/Cargo.toml",
        "/client//etc/passwd",
        "/client/%2Fetc%2Fpasswd",
        "/console/%00",
        "/console/index.html/",
        "/manual",
    ] {
        let (status, headers, body) = get(&server, address).await;
        let said: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &said["error"]["code"]),
            (404, &"not_found".into()),
            "{address}"
        );
        let policy = &headers["content-security-policy"];
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
    }
    let post = server.http("POST", "/").send().await.unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_load_the_client_and_no_other_may() {
    let page = "https://app.example";
    let server = Server::on(Database::folder(), &["--allow-origin", page]).await;
    for (origin, status) in [(page, 200), ("https://evil.example", 403)] {
        let request = server.http("GET", "/client/livelog.js");
        let answer = request.header(ORIGIN, origin).send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), status == 200);
    }
}

#[tokio::test]
async fn the_console_can_be_left_out() {
    let server = Server::on(Database::folder(), &["--no-console"]).await;
    for address in ["/", "/console/index.html", "/manual/index.md"] {
        assert_eq!(get(&server, address).await.0, 404, "{address}");
    }
    assert_eq!(get(&server, "/client/livelog.js").await.0, 200);
}
