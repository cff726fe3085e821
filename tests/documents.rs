//! Documents of other programs imported from files: plain JSON, and what `mongoexport` writes.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::database::{command, output, scratch, stdin};
use crate::support::{Database, Server};

/// Written by hand to the documented formats, each with the same documents.
const CANONICAL: &str = include_str!("../fixtures/adopt/canonical.json");
const RELAXED: &str = include_str!("../fixtures/adopt/relaxed.json");
const STRICT: &str = include_str!("../fixtures/adopt/strict-v1.json");
const ARRAY: &str = include_str!("../fixtures/adopt/array.json");

/// The events that they become.
const EXPECTED: &str = include_str!("../fixtures/adopt/expected.json");

async fn import(into: &Database, words: &[&str], input: Stdio) -> Output {
    let mut livelog = command();
    livelog
        .arg("import")
        .args(words)
        .args(into.arguments())
        .stdin(input);
    output(livelog).await
}

fn said(output: &Output, code: i32) -> String {
    let said = String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The events in the order of their ids, without what the log says of them.
async fn events(server: &Server) -> Vec<Value> {
    let (_, all) = server.get("/api/events", &[]).await;
    let events = all["data"].as_array().unwrap().iter().cloned();
    let events = events.map(|mut event| {
        let fields = event.as_object_mut().unwrap();
        fields.remove("_version");
        fields.remove("_seq");
        event
    });
    events.collect()
}

fn is_empty(into: &Database) -> bool {
    std::fs::read_dir(into.path()).unwrap().next().is_none()
}

#[tokio::test]
async fn every_form_of_extended_json_means_the_same() {
    let expected: Vec<Value> = serde_json::from_str(EXPECTED).unwrap();
    for text in [CANONICAL, RELAXED, STRICT, ARRAY] {
        let into = Database::alone().await;
        let words = ["--format", "mongoexport"];
        let told = said(&import(&into, &words, stdin(text.as_bytes())).await, 0);
        assert!(told.contains("imported 2 changes into 2 events"), "{told}");
        let (code, told) = into.livelog("verify").await;
        assert_eq!(code, Some(0), "{told}");
        let server = Server::on(into, &[]).await;
        assert_eq!(events(&server).await, expected, "{text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn plain_documents_are_imported_from_a_file_or_a_pipe_and_a_dry_run_writes_nothing() {
    let folder = scratch();
    let path = folder.path().join("events.ndjson");
    let lines = [
        r#"{"_id":"a","n":9223372036854775807,"f":1.0,"createdAt":"2024-01-01T00:00:00Z","updatedAt":"2024-01-02T00:00:00+01:00"}"#,
        r#"{"_id":7,"deep":{"a":[{"b":null}]}}"#,
        r#"{"title":"without an id"}"#,
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let (into, path) = (Database::folder(), path.to_str().unwrap());
    let dry = ["--format", "ndjson", path, "--dry-run"];
    let told = said(&import(&into, &dry, Stdio::null()).await, 0);
    assert!(
        told.contains("would become 3 changes into 3 events"),
        "{told}"
    );
    assert!(is_empty(&into));
    for source in [path, "-"] {
        let into = Database::folder();
        let words = ["--format", "ndjson", source];
        let input = stdin(lines.join("\n").as_bytes());
        let told = said(&import(&into, &words, input).await, 0);
        assert!(told.contains("imported 3 changes into 3 events"), "{told}");
        let server = Server::on(into, &[]).await;
        let found = events(&server).await;
        assert_eq!(found[1]["deep"], json!({ "a": [{ "b": null }] }));
        assert_eq!(found[1]["_id"], "7");
        let a = found.iter().find(|event| event["_id"] == "a").unwrap();
        assert_eq!(a["n"], json!(i64::MAX));
        assert_eq!(a["_createdAt"], "2024-01-01T00:00:00.000Z");
        assert_eq!(a["_updatedAt"], "2024-01-01T23:00:00.000Z");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_told_with_line_and_path() {
    let good = r#"{"_id":"a"}"#;
    for (format, line, reason) in [
        (
            "ndjson",
            r#"{"at":{"$date":"2024-01-01T00:00:00Z"}}"#,
            "at.$date: names must not begin with $",
        ),
        (
            "ndjson",
            r#"{"by":{"$ref":"a","$id":1}}"#,
            "by.$ref: names must not begin with $",
        ),
        (
            "ndjson",
            r#"{"a":[{"b":1,"b":2}]}"#,
            "a.0.b: the same name twice",
        ),
        (
            "ndjson",
            r#"{"n":9223372036854775808}"#,
            "n: the number does not fit 64 bits",
        ),
        (
            "ndjson",
            good,
            "another document became the same event before: ids are text here (event a)",
        ),
        ("ndjson", r#"{"_id":null}"#, "_id: its _id is null"),
        (
            "mongoexport",
            r#"{"a":{"b":{"$oid":"xyz"}}}"#,
            "a.b: it begins with $oid and is no such value",
        ),
        (
            "mongoexport",
            r#"{"a":{"$numberLong":"9223372036854775808"}}"#,
            "a: it begins with $numberLong",
        ),
        (
            "mongoexport",
            r#"{"a":{"$date":"yesterday"}}"#,
            "a: it begins with $date",
        ),
        (
            "mongoexport",
            r#"{"a":{"$foo":1}}"#,
            "a.$foo: names must not begin with $",
        ),
    ] {
        let into = Database::folder();
        let text = format!("{good}\n\n{line}\n");
        let words = ["--format", format];
        let told = said(&import(&into, &words, stdin(text.as_bytes())).await, 1);
        assert!(
            told.contains(&format!("line 3: {reason}")),
            "{line}: {told}"
        );
        // What can be read twice is looked at first.
        let (folder, into) = (scratch(), Database::folder());
        let path = folder.path().join("documents");
        std::fs::write(&path, &text).unwrap();
        let words = ["--format", format, path.to_str().unwrap()];
        let told = said(&import(&into, &words, Stdio::null()).await, 1);
        assert!(
            told.contains(&format!("line 3: {reason}")),
            "{line}: {told}"
        );
        assert!(told.contains("nothing was written"), "{told}");
        assert!(is_empty(&into));
        let words = [&words[..], &["--skip-refused"]].concat();
        let told = said(&import(&into, &words, Stdio::null()).await, 0);
        assert!(told.contains("imported 1 change into 1 event"), "{told}");
    }
    for (text, reason) in [
        (
            "{\"a\":1}\n{\n\"a\":}\n",
            "line 3, column 5: expected value. Where a malformed document ends is known if it has a line of its own",
        ),
        (
            "[{\"a\":\"\\ud800\"}]",
            ": unexpected end of hex escape. Where a malformed document ends",
        ),
        ("{\"a\":1}\n[]\n", "line 2: expected a document"),
        (
            "{\"a\":1}\n{\"a\":\"",
            "line 2, column 7: the text ends within a document",
        ),
    ] {
        let into = Database::folder();
        let words = ["--format", "ndjson", "--dry-run", "--skip-refused"];
        let told = said(&import(&into, &words, stdin(text.as_bytes())).await, 1);
        assert!(told.contains(reason), "{told}");
        assert!(is_empty(&into));
    }
}

#[tokio::test]
async fn a_malformed_document_on_a_line_of_its_own_is_refused_like_any_other() {
    let text = b"{\"a\":1}\n{\"a\":\"\\ud800\"}\n{\"a\":}\n{\"a\":\"\xff\"} \n{\"_id\":\"z\"}";
    let into = Database::folder();
    let words = ["--format", "ndjson", "--dry-run"];
    let told = said(&import(&into, &words, stdin(text)).await, 1);
    for reason in [
        "read 5 documents, 47 bytes",
        ": unexpected end of hex escape",
        "line 3, column 6: expected value",
        "line 4: it is not UTF-8",
    ] {
        assert!(told.contains(reason), "{reason}: {told}");
    }
    let words = ["--format", "ndjson", "--skip-refused"];
    let told = said(&import(&into, &words, stdin(text)).await, 0);
    assert!(told.contains("imported 2 changes into 2 events"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_read_or_made_is_told_and_nothing_is_left_of_it() {
    let folder = scratch();
    let data = folder.path().join("data");
    for (data, words, reason) in [
        (data.to_str().unwrap(), &["."][..], "cannot read .: "),
        (
            "/proc/livelog/data",
            &["-", "--dry-run"],
            "cannot use the data folder",
        ),
    ] {
        let mut livelog = command();
        livelog.args(["import", "--format", "ndjson", "--data", data]);
        livelog.args(words).stdin(stdin(b"{}"));
        let told = said(&output(livelog).await, 1);
        assert!(told.contains(reason), "{told}");
    }
    assert!(!data.exists());
}

#[tokio::test]
async fn an_update_before_the_creation_is_counted_apart() {
    let lines = [
        r#"{"createdAt":"2024-01-02T00:00:00Z","updatedAt":"2024-01-01T00:00:00Z"}"#,
        r#"{"createdAt":"2024-01-02T00:00:00Z","updatedAt":"2024-01-03T00:00:00Z"}"#,
        r#"{"createdAt":"2016-12-31T23:59:60Z"}"#,
    ];
    let into = Database::folder();
    let words = ["--format", "ndjson"];
    let told = said(
        &import(&into, &words, stdin(lines.join("\n").as_bytes())).await,
        0,
    );
    for line in [
        "           3 createdAt, as _createdAt",
        "           1 updatedAt, as _updatedAt",
        "           1 updatedAt before the document was created, as the time of that",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    let server = Server::on(into, &[]).await;
    let found = events(&server).await;
    assert_eq!(found[0]["_updatedAt"], "2024-01-02T00:00:00.000Z");
    assert_eq!(found[2]["_createdAt"], "2017-01-01T00:00:00.000Z");
    server.stop().await;
}

#[tokio::test]
async fn an_import_of_documents_fills_an_empty_store_alone_and_a_log_takes_no_new_names() {
    let into = Database::folder();
    let words = ["--format", "ndjson"];
    said(&import(&into, &words, stdin(b"{}")).await, 0);
    let told = said(&import(&into, &words, stdin(b"{}")).await, 1);
    assert!(told.contains("the store is not empty"), "{told}");
    let told = said(&import(&into, &["--dry-run"], Stdio::null()).await, 1);
    assert!(told.contains("--format ndjson"), "{told}");
    let told = said(&import(&into, &["nowhere.ndjson"], Stdio::null()).await, 1);
    assert!(told.contains("cannot open nowhere.ndjson"), "{told}");
}

#[tokio::test]
async fn a_long_import_is_read_in_constant_memory_and_every_document_arrives() {
    let folder = scratch();
    let path = folder.path().join("many.ndjson");
    let document = |n: usize| format!("{{\"_id\":\"{n:06}\",\"text\":\"{}\"}}", "x".repeat(20_000));
    let text: Vec<String> = (0..2_000).map(document).collect();
    std::fs::write(&path, text.join("\n")).unwrap();
    let into = Database::alone().await;
    let words = ["--format", "ndjson", path.to_str().unwrap()];
    let told = said(&import(&into, &words, Stdio::null()).await, 0);
    assert!(
        told.contains("imported 2000 changes into 2000 events"),
        "{told}"
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_filled_is_told_of_before_the_file_is_read() {
    let into = Database::folder();
    let words = ["--format", "ndjson"];
    said(&import(&into, &words, stdin(b"{}")).await, 0);
    let folder = scratch();
    let path = folder.path().join("broken.ndjson");
    std::fs::write(&path, "{\"a\":}").unwrap();
    let words = ["--format", "ndjson", path.to_str().unwrap()];
    let told = said(&import(&into, &words, Stdio::null()).await, 1);
    assert!(told.contains("the store is not empty"), "{told}");
    assert!(!told.contains("line 1"), "{told}");
    // A dry run looks at both, and tells both.
    let words = [&words[..], &["--dry-run"]].concat();
    let told = said(&import(&into, &words, Stdio::null()).await, 1);
    for word in ["the store is not empty", "line 1"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test]
async fn all_that_is_refused_is_told_in_one_run_each_kind_once() {
    let lines = [
        r#"{"_id":"a","$x":1,"b.c":1,"list":[{"$y":1},{"$y":2}]}"#,
        r#"{"_id":"b","fine":1}"#,
        r#"{"_id":"c","$x":1,"_d":1}"#,
        r#"{"_id":"d","$x":1}"#,
    ];
    let text = lines.join("\n");
    let folder = scratch();
    let path = folder.path().join("documents");
    std::fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    for (source, dry) in [
        ("-", &[][..]),
        ("-", &["--dry-run"]),
        (path, &[]),
        (path, &["--dry-run"]),
    ] {
        let into = Database::folder();
        let words = [&["--format", "ndjson", source][..], dry].concat();
        let told = said(&import(&into, &words, stdin(text.as_bytes())).await, 1);
        for line in [
            "refused 3 documents:",
            "  line 1: $x: names must not begin with $ (--rename='$x=NAME', or --drop='$x'), and so in 2 others",
            r"  line 1: b.c: names must not contain a dot (--rename='b\.c=NAME', or --drop='b\.c')",
            "  line 1: list.0.$y: names must not begin with $ (--rename='list.$y=NAME', or --drop='list.$y')",
            "  line 3: _d: names beginning with _ are the server's (--rename='_d=NAME', or --drop='_d')",
        ] {
            assert!(told.lines().any(|found| found == line), "{line}: {told}");
        }
        assert!(
            told.contains("3 documents cannot be taken as they are"),
            "{told}"
        );
        assert!(told.contains("nothing was written"), "{told}");
        let words = [
            &words[..],
            &["--drop=$x", r"--drop=b\.c", "--drop=list.$y", "--drop=_d"],
        ]
        .concat();
        said(&import(&into, &words, stdin(text.as_bytes())).await, 0);
    }
}

#[tokio::test]
async fn an_error_has_one_place_which_is_that_in_the_file() {
    for (text, place) in [
        ("{}\n\n{\n\"a\":}\n", "line 4, column 5: expected value"),
        ("[{},{\"a\":}]", "line 1, column 10: expected value"),
        (
            "[{},\n{},]",
            "line 2, column 4: a comma stands before the end",
        ),
        (
            "[{\"_id\":\"a\"},{\"$b\":1}]",
            "line 1, column 14: $b: names must not",
        ),
    ] {
        let into = Database::folder();
        let words = ["--format", "ndjson", "--dry-run"];
        let told = said(&import(&into, &words, stdin(text.as_bytes())).await, 1);
        assert!(told.contains(place), "{place}: {told}");
        assert!(!told.contains("at line"), "{told}");
        assert!(is_empty(&into));
    }
}

#[tokio::test]
async fn one_is_not_called_many() {
    let into = Database::folder();
    let words = ["--format", "ndjson"];
    let told = said(&import(&into, &words, stdin(b"{\"a\":\"b\"}")).await, 0);
    for line in ["read 1 document, 9 bytes", "           1 string, unchanged"] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    assert!(
        told.contains("imported 1 change into 1 event as of seq 1"),
        "{told}"
    );
}
