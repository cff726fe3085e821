//! A store that was filled in part only is not taken for a whole one.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use crate::support::Database;
use crate::support::database::{command, output, stdin};

/// Enough for several batches, beside what waits in a pipe when the reader is killed.
const DOCUMENTS: usize = 6_000;

fn documents() -> Vec<u8> {
    let document = |n: usize| format!("{{\"_id\":\"{n}\",\"text\":\"{}\"}}\n", "x".repeat(150));
    (0..DOCUMENTS).map(document).collect::<String>().into()
}

/// Kills an import that waits for more, after it has read all of this but what a pipe and a buffer hold.
async fn import_killed_after(into: &Database, words: &[&str], text: Vec<u8>) {
    let mut livelog = command();
    livelog.arg("import").args(words).args(into.arguments());
    livelog.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut importing = livelog.spawn().unwrap();
    let mut input = importing.stdin.take().unwrap();
    let writing = move || (input.write_all(&text), input);
    let (written, input) = tokio::task::spawn_blocking(writing).await.unwrap();
    written.unwrap();
    importing.kill().unwrap();
    importing.wait().unwrap();
    drop(input);
}

async fn ended(into: &Database, words: &[&str]) -> (Option<i32>, String) {
    let mut livelog = command();
    livelog.args(words).args(into.arguments());
    livelog.stdin(Stdio::null());
    let output = output(livelog).await;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

/// Nothing serves or changes it, nor copies it as if it were whole, and who reads it is told.
async fn is_told_of_everywhere(into: &Database, source: &str) {
    let told = format!("Moving {source} into it was cut off while it was copied");
    let elsewhere = into.another().await;
    for words in [
        &["--listen", "127.0.0.1:0"][..],
        &["replay"],
        &["replay", "--until", "1", "--into", elsewhere.name()],
        &["redact", "--event", "1"],
        &["verify"],
    ] {
        let (code, said) = ended(into, words).await;
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains(&told), "{words:?}: {said}");
        assert!(said.contains("Begin again: "), "{words:?}: {said}");
    }
    let (code, said) = ended(into, &["export"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&told), "{said}");
}

async fn every_kind() -> [Arc<Database>; 2] {
    [Database::shared().await, Database::alone().await]
}

#[tokio::test]
async fn an_import_of_documents_that_was_killed_is_known_to_whoever_opens_the_store() {
    let words = ["--format", "ndjson"];
    for into in every_kind().await {
        import_killed_after(&into, &words, documents()).await;
        is_told_of_everywhere(&into, "stdin").await;
        let again = into
            .run("import --format ndjson", stdin(&documents()))
            .await;
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(said.contains("the store is not empty"), "{said}");
        assert!(said.contains("Begin again: "), "{said}");
    }
}

#[tokio::test]
async fn an_import_of_a_log_that_was_killed_is_known_to_whoever_opens_the_store() {
    let origin = Database::alone().await;
    let whole = origin.run("import --format ndjson", stdin(&documents()));
    assert!(whole.await.status.success());
    let (code, said) = ended(&origin, &["verify"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let exported = origin.run("export", Stdio::null()).await.stdout;
    for into in every_kind().await {
        let last = exported.len() - 10;
        import_killed_after(&into, &[], exported[..last].to_vec()).await;
        is_told_of_everywhere(&into, "stdin").await;
    }
}

#[tokio::test]
async fn what_was_cut_off_before_anything_was_written_goes_on_with_the_same_command() {
    for into in every_kind().await {
        let words = ["--format", "ndjson"];
        import_killed_after(&into, &words, vec![b'\n'; 1 << 20]).await;
        let (code, said) = ended(&into, &["--listen", "127.0.0.1:0"]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("Give the same command again"), "{said}");
        let again = into.run("import --format ndjson", stdin(b"{}")).await;
        assert!(again.status.success());
        let (code, said) = ended(&into, &["verify"]).await;
        assert_eq!(code, Some(0), "{said}");
    }
}
