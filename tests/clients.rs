//! The JavaScript client: one suite in every runtime that it is for, through a proxy that fails on command; what it weighs,
//! and what is published of it.
//!
//! `node tests/js/run.js` runs any of it by hand. The random schedules print their seeds; `SCHEDULES` says how many,
//! `SCHEDULE_SEED` which first.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::dice::number;
use crate::support::npm::{self, CLIENT};

/// Twenty seconds on an idle machine; half of them are waiting.
const SUITE_DEADLINE: Duration = Duration::from_secs(300);

/// Beyond what is allowed by default, each schedule may take this much longer.
const SCHEDULE_DEADLINE: Duration = Duration::from_secs(2);

/// What a page loads, minified and compressed, in bytes: the client with its queue in IndexedDB, and each adapter without
/// the client.
const SIZES: [(&str, &[&str], usize); 3] = [
    ("livelog.js", &["persist.js"], 12 * 1024 + 544),
    ("react.js", &[], 1024),
    ("tanstack.js", &[], 2560),
];

async fn the_suite_passes_in(runtime: &str) {
    let said = npm::run("run.js", &["suite", runtime], SUITE_DEADLINE).await;
    let facts = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(facts > 100, "{runtime} ran {facts} facts:\n{said}");
}

/// Against a scripted server and a clock that is moved by hand: answers that are lost, late, or no answers at all.
#[test]
fn each_part_of_the_client_does_what_it_says() {
    let said = npm::program("node", &["--test", "client/*.test.js"]);
    assert!(
        said.contains("fail 0") && !said.contains("tests 0"),
        "{said}"
    );
}

#[tokio::test]
async fn the_client_keeps_its_promises_in_node() {
    the_suite_passes_in("node").await;
}

#[tokio::test]
async fn the_client_keeps_its_promises_in_bun() {
    the_suite_passes_in("bun").await;
}

#[tokio::test]
async fn the_client_keeps_its_promises_in_deno() {
    the_suite_passes_in("deno").await;
}

#[tokio::test]
async fn the_client_keeps_its_promises_in_chromium() {
    the_suite_passes_in("chromium").await;
}

/// What no other runtime has: pages that are reloaded in the middle of a write, several of them, that sleep and wake.
#[tokio::test]
async fn tabs_of_a_browser_share_one_queue_that_survives_them() {
    npm::run("run.js", &["tabs"], SUITE_DEADLINE).await;
}

#[tokio::test]
async fn whatever_happens_to_two_clients_they_end_with_what_the_server_has_and_nothing_is_done_twice()
 {
    let schedules = u32::try_from(number("SCHEDULES").unwrap_or(200)).unwrap();
    let deadline = SUITE_DEADLINE + SCHEDULE_DEADLINE * schedules;
    let said = npm::run("run.js", &["schedules"], deadline).await;
    println!("{said}");
}

#[test]
fn the_client_is_small() {
    let mut wrong = Vec::new();
    for (file, also, allowed) in SIZES {
        let bytes = compressed(&bundled(file, also));
        println!("{file}: {bytes} bytes of {allowed}");
        if bytes > allowed {
            wrong.push(format!("{file} has {bytes} bytes, more than {allowed}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One minified file, with what it loads later; what an adapter stands on is left out.
fn bundled(file: &str, also: &[&str]) -> Vec<u8> {
    let adapter = file != "livelog.js";
    let mut bundle = Vec::new();
    for file in std::iter::once(&file).chain(also) {
        let path = format!("{CLIENT}/{file}");
        let mut words = vec![
            path.as_str(),
            "--bundle",
            "--minify",
            "--format=esm",
            "--log-level=error",
        ];
        words.extend([
            "--external:react",
            "--external:@tanstack/*",
            "--external:./persist.js",
        ]);
        if adapter {
            words.push("--external:./livelog.js");
        }
        bundle.extend(npm::program("esbuild", &words).into_bytes());
    }
    bundle
}

fn compressed(bytes: &[u8]) -> usize {
    let mut gzip = Command::new("gzip")
        .args(["-9", "--no-name"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    input.write_all(bytes).unwrap();
    drop(input);
    gzip.wait_with_output().unwrap().stdout.len()
}

#[test]
fn the_declarations_are_what_tsc_makes_of_the_client() {
    let folder = crate::support::database::scratch();
    let place = folder.path().to_str().unwrap();
    npm::program("node", &["declare.js", place]);
    let made: BTreeMap<_, _> = npm::files(folder.path()).unwrap().into_iter().collect();
    let committed = declarations();
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&committed));
    let differing: Vec<&String> = made
        .iter()
        .filter(|(name, made)| committed[*name] != **made)
        .map(|(name, _)| name)
        .collect();
    assert!(
        differing.is_empty(),
        "not as tsc makes them: {differing:?}. `node tests/js/declare.js` makes them"
    );
}

fn declarations() -> BTreeMap<String, Vec<u8>> {
    let all = npm::files(Path::new(CLIENT)).unwrap();
    all.into_iter()
        .filter(|(name, _)| name.ends_with(".d.ts"))
        .collect()
}

#[test]
fn what_is_published_is_what_is_there() {
    let package = fs::read_to_string(format!("{CLIENT}/package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    let mut listed: Vec<String> = serde_json::from_value(package["files"].clone()).unwrap();
    listed.extend(["package.json".to_owned(), "README.md".to_owned()]);
    listed.sort();
    listed.dedup();
    let there: Vec<String> = npm::files(Path::new(CLIENT))
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, there);
    for (entry, target) in package["exports"].as_object().unwrap() {
        for path in [&target["default"], &target["types"]] {
            let name = path.as_str().unwrap().trim_start_matches("./");
            assert!(listed.iter().any(|file| file == name), "{entry}: {name}");
        }
    }
    let version = package["version"].as_str().unwrap();
    assert_eq!(
        version,
        env!("CARGO_PKG_VERSION"),
        "client and server are released together"
    );
}
