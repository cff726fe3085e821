//! The console, in a real browser: Debian's Chromium, driven from `tests/js/console` with playwright-core.
//!
//! Each fact here is a file of facts there; `node tests/js/console/live.js` runs one by hand, with `LIVELOG_BINARY` naming the
//! server. Its pictures go to `target/screenshots/console`, for people to look at.

use std::time::Duration;

use crate::support::npm;

/// A minute on an idle machine, for the longest.
const DEADLINE: Duration = Duration::from_secs(600);

async fn the_facts_hold_of(file: &str) {
    let nothing: [&str; 0] = [];
    let said = npm::run(&format!("console/{file}.js"), &nothing, DEADLINE).await;
    println!("{said}");
}

#[tokio::test]
async fn the_parts_of_the_console_do_what_they_say() {
    the_facts_hold_of("parts").await;
}

#[tokio::test]
async fn a_write_in_one_page_appears_in_the_other_and_a_restart_loses_nothing() {
    the_facts_hold_of("live").await;
}

#[tokio::test]
async fn nothing_is_written_over_unseen_and_everything_can_be_taken_back() {
    the_facts_hold_of("editing").await;
}

#[tokio::test]
async fn what_is_typed_is_not_lost_and_lands_in_no_other_event() {
    the_facts_hold_of("drafts").await;
}

#[tokio::test]
async fn what_one_looks_at_stays_whole_and_where_it_is() {
    the_facts_hold_of("steady").await;
}

#[tokio::test]
async fn what_the_views_say_of_themselves_is_true_and_in_the_address() {
    the_facts_hold_of("told").await;
}

#[tokio::test]
async fn who_signs_in_sees_and_does_what_the_role_may() {
    the_facts_hold_of("signing_in").await;
}

#[tokio::test]
async fn the_time_slider_shows_the_past() {
    the_facts_hold_of("past").await;
}

#[tokio::test]
async fn a_link_to_a_moment_shows_that_moment_or_says_why_not() {
    the_facts_hold_of("moments").await;
}

#[tokio::test]
async fn whatever_an_address_says_there_is_a_way_on() {
    the_facts_hold_of("addresses").await;
}

#[tokio::test]
async fn characters_that_nobody_sees_are_marked() {
    the_facts_hold_of("unseen").await;
}

#[tokio::test]
async fn what_documents_hold_stays_text() {
    the_facts_hold_of("safety").await;
}

#[tokio::test]
async fn the_console_works_without_a_mouse() {
    the_facts_hold_of("keyboard").await;
}

#[tokio::test]
async fn every_view_is_accessible_in_both_schemes_wide_and_narrow() {
    the_facts_hold_of("looks").await;
}

#[tokio::test]
async fn a_hundred_thousand_events_and_a_thousand_changes_a_second_leave_it_usable() {
    the_facts_hold_of("load").await;
}
