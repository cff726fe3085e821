//! The adapters of the JavaScript client with the libraries that they are for, and the example pages in a real browser.
//!
//! `node tests/js/adapters/main.js tanstack|react|examples [part of a test's name]` runs any of it by hand, with
//! `LIVELOG_BINARY`. What is random prints its seed; `ADAPTER_SEED` repeats it.

use std::time::Duration;

use crate::support::npm;

/// Ten seconds on an idle machine, most of them a browser's.
const DEADLINE: Duration = Duration::from_secs(300);

async fn the_facts_hold(part: &str, at_least: usize) {
    let said = npm::run("adapters/main.js", &[part], DEADLINE).await;
    let facts = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(facts >= at_least, "{part} has {facts} facts:\n{said}");
}

#[tokio::test]
async fn react_shows_live_results_and_renders_what_changed() {
    the_facts_hold("react", 18).await;
}

#[tokio::test]
async fn a_tanstack_collection_is_what_the_server_has() {
    the_facts_hold("tanstack", 39).await;
}

#[tokio::test]
async fn the_examples_work_as_they_stand() {
    the_facts_hold("examples", 6).await;
}
