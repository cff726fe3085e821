//! The log as a file: exported, and imported into an empty store of either kind.

use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::database::{command, output, scratch, stdin};
use crate::support::{Database, Load, Server, on_every_store};

/// What this format looks like: an exported log, with every kind of change and of value.
const GOLDEN: &str = include_str!("../fixtures/export/log.ndjson");

/// The same log in the formats before.
const GOLDEN_BEFORE: [&str; 2] = [
    include_str!("../fixtures/export/log-1.ndjson"),
    include_str!("../fixtures/export/log-2.ndjson"),
];

on_every_store!(
    an_exported_log_of_this_format_is_imported_and_exported_byte_by_byte,
    a_log_moves_to_the_other_store_and_back_with_everything_it_has,
    a_store_that_holds_anything_is_no_place_for_an_import,
    a_log_up_to_a_moment_becomes_a_livelog_of_its_own,
    a_log_is_copied_to_nowhere_but_an_empty_place_and_no_further_than_it_goes,
    an_input_that_is_no_export_makes_no_store,
    an_import_that_stops_halfway_says_how_far_it_came_and_has_not_the_logs_identity,
);

/// What it said on stdout and stderr, after checking that it did as told.
fn succeeded(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (stdout, stderr)
}

/// Why it did not.
fn failed(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("livelog: ") && !said.contains("panicked"),
        "{said}"
    );
    said
}

async fn export(database: &Database) -> String {
    succeeded(&database.run("export", Stdio::null()).await).0
}

async fn import(database: &Database, log: &str) -> Output {
    database.run("import", stdin(log.as_bytes())).await
}

/// `… changes into … events as of seq …, digest sha256:…`, wherever it stands.
fn counts(said: &str) -> &str {
    let start = ["exported ", "imported ", "view equals log: "];
    let line = said
        .lines()
        .find_map(|line| start.iter().find_map(|word| line.strip_prefix(word)));
    line.unwrap_or_else(|| panic!("no counts: {said}"))
}

async fn verified(database: &Database) -> String {
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    counts(&said).to_owned()
}

/// One of the other kind.
async fn other(database: &Database) -> Arc<Database> {
    match database.is_folder() {
        true => Database::shared().await,
        false => Database::folder(),
    }
}

async fn an_exported_log_of_this_format_is_imported_and_exported_byte_by_byte(server: Server) {
    let database = server.stop().await;
    let (said, _) = succeeded(&import(&database, GOLDEN).await);
    let digest = "sha256:8e1a92ca0ef373990ddef9f8352c167eddcbc0bb25af8154706d6dece936d8dc";
    let expected = format!("7 changes into 3 events as of seq 7, digest {digest}");
    assert_eq!(counts(&said), expected);
    assert_eq!(verified(&database).await, expected);
    assert_eq!(export(&database).await, GOLDEN);
    for before in GOLDEN_BEFORE {
        let database = database.another().await;
        let (said, _) = succeeded(&import(&database, before).await);
        assert_eq!(counts(&said), expected);
        assert_eq!(export(&database).await, GOLDEN);
    }
}

/// What a client can see of a log and its view, as text: no number may change its kind.
async fn seen(server: &Server) -> (Vec<String>, String) {
    let mut reader = server.connect("/ws?after=0").await;
    let (_, view) = server.get("/api/events", &[]).await;
    let head = view["seq"].as_u64().unwrap();
    let changes = reader.changes_through(head).await;
    (
        changes.iter().map(Value::to_string).collect(),
        view["data"].to_string(),
    )
}

async fn stock(server: &Server) -> String {
    let mut client = server.connect("/ws?changes=none").await;
    let epoch = client.welcome["epoch"].as_str().unwrap().to_owned();
    let odd = json!({"_id": "odd", "f": [0.1, -0.0, 1.0, 1e300, 5e-324], "i": [i64::MIN, i64::MAX],
        "deep": {"a": [{"b": null}, [], {}]}, "text": "\u{1}\"\\\n\u{1f600}"});
    client.create(odd).await;
    let long = json!({"id": "odd", "updateData": {"deep.a.0.b": "x".repeat(200_000), "i.3": 1}});
    client.ok("UPDATE", long).await;
    Load::bounded(&[server], 3, 700).await.finish().await;
    client.ok("DELETE", json!({"id": "odd"})).await;
    client
        .create(json!({"_id": "odd", "again": [true, 1.5]}))
        .await;
    epoch
}

async fn a_log_moves_to_the_other_store_and_back_with_everything_it_has(server: Server) {
    let epoch = stock(&server).await;
    let before = seen(&server).await;
    assert_eq!(before.0.len(), 2_104);
    let mut database = server.stop().await;
    let digest = verified(&database).await;
    for _ in 0..2 {
        let to = other(&database).await;
        let (exported, imported) = pipe(&database, &to).await;
        assert_eq!(counts(&exported), digest);
        assert_eq!(counts(&imported), digest);
        assert_eq!(verified(&to).await, digest);
        assert_eq!(export(&to).await, export(&database).await);
        database = to;
    }
    let moved = Server::on(database, &[]).await;
    assert_eq!(seen(&moved).await, before);
    // A client that knew the log under its old address goes on where it was.
    let mut client = moved
        .connect(&format!("/ws?after=2103&epoch={epoch}"))
        .await;
    assert_eq!(client.change().await["seq"], 2_104);
    assert_eq!(client.create(json!({})).await.1, 2_105);
    assert_eq!(client.change().await["seq"], 2_105);
    assert!(client.notices.is_empty(), "{:?}", client.notices);
}

/// `livelog export … | livelog import …`: what each said.
async fn pipe(from: &Database, to: &Database) -> (String, String) {
    let mut exporting = command();
    exporting.arg("export").args(from.arguments());
    exporting.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut exporting = exporting.stderr(Stdio::piped()).spawn().unwrap();
    let lines = exporting.stdout.take().unwrap();
    let imported = to.run("import", lines.into()).await;
    let exported = exporting.wait_with_output().unwrap();
    (succeeded(&exported).1, succeeded(&imported).0)
}

async fn a_store_that_holds_anything_is_no_place_for_an_import(server: Server) {
    server.client().await.create(json!({"precious": 1})).await;
    let database = server.stop().await;
    let kept = export(&database).await;
    let said = failed(&import(&database, GOLDEN).await);
    assert!(
        said.contains("not empty: its log ends at 1") && said.contains("another"),
        "{said}"
    );
    assert_eq!(export(&database).await, kept);
}

#[tokio::test]
async fn events_that_have_no_log_are_not_mixed_with_an_imported_one() {
    let database = Database::shared().await;
    let events = database.driver().await.collection("events");
    events
        .insert_one(mongodb::bson::doc! { "theirs": 1 })
        .await
        .unwrap();
    let said = failed(&import(&database, GOLDEN).await);
    assert!(said.contains("no log that they belong to"), "{said}");
}

/// A log of so many creates, as if exported.
async fn long_log(server: &Server, count: usize) -> String {
    let load = Load::bounded(&[server], 4, count / 4).await;
    load.finish().await;
    export(&server.database).await
}

async fn a_log_up_to_a_moment_becomes_a_livelog_of_its_own(server: Server) {
    let mut client = server.client().await;
    for n in 0..30 {
        client.create(json!({"_id": format!("e{n}"), "n": n})).await;
        let payload = json!({"id": format!("e{}", n / 2), "updateData": {"n": -n}});
        client.ok("UPDATE", payload).await;
    }
    client.ok("DELETE", json!({"id": "e3"})).await;
    let changes = client.changes(61).await;
    let then = client.ok("FETCH", json!({"at": 41})).await;
    let epoch = client.welcome["epoch"].clone();
    let database = server.stop().await;
    let before = verified(&database).await;

    let past = database.another().await;
    let words = format!("replay --until 41 --into {}", past.name());
    let (code, said) = database.livelog(&words).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("41 changes into 21 events as of seq 41, digest "),
        "{said}"
    );
    let digest = verified(&past).await;
    assert!(said.contains(&digest), "{said}: {digest}");
    let served = Server::on(past, &[]).await;
    let mut client = served.client().await;
    let now = client.ok("FETCH", json!({})).await;
    assert_eq!((&now["data"], &now["seq"]), (&then["data"], &json!(41)));
    assert_ne!(
        client.welcome["epoch"], epoch,
        "from here on it is another log"
    );
    client.create(json!({"n": "after"})).await;
    assert_eq!(
        verified(&database).await,
        before,
        "the original is as it was"
    );

    // A time means the last change up to it.
    let at = changes[10]["at"].as_str().unwrap();
    let last = changes.iter().rfind(|change| change["at"] == at).unwrap();
    let past = database.another().await;
    let words = format!("replay --until {at} --into {}", past.name());
    let (code, said) = database.livelog(&words).await;
    assert_eq!(code, Some(0), "{said}");
    let expected = format!("replayed {} changes into", last["seq"]);
    assert!(said.contains(&expected), "{said}: {expected}");
}

async fn a_log_is_copied_to_nowhere_but_an_empty_place_and_no_further_than_it_goes(server: Server) {
    server.client().await.create(json!({})).await;
    let database = server.stop().await;
    let other = Server::on(database.another().await, &[]).await;
    other.client().await.create(json!({})).await;
    let other = other.stop().await;
    let empty = database.another().await;
    for (until, into, status, reason) in [
        ("1", other.name(), 1, "is not empty: its log ends at 1"),
        (
            "2",
            empty.name(),
            1,
            "the log has no change 2: it ends at 1",
        ),
        ("soon", empty.name(), 2, "expected a seq, or a time"),
    ] {
        let words = format!("replay --until {until} --into {into}");
        let (code, said) = database.livelog(&words).await;
        assert_eq!(code, Some(status), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    for words in ["replay --until 1", "replay --into somewhere"] {
        let (code, said) = database.livelog(words).await;
        assert_eq!(code, Some(2), "{said}");
    }
}

async fn an_import_that_stops_halfway_says_how_far_it_came_and_has_not_the_logs_identity(
    server: Server,
) {
    let source = Server::start().await;
    let log = long_log(&source, 3_000).await;
    let mut lines: Vec<&str> = log.lines().collect();
    let (last, doubled) = (lines.len() - 1, lines[2_500]);
    lines[2_501] = doubled;
    assert_eq!(last, 3_001);
    let database = server.stop().await;
    let said = failed(&import(&database, &(lines.join("\n") + "\n")).await);
    assert!(
        said.contains("loaded 1..2048 of 3000") && said.contains("line 2502: it is change 2500"),
        "{said}"
    );
    // What is there is a log, but not the one that clients may know positions of, and known to be a part.
    let (code, told) = database.livelog("verify").await;
    assert_eq!(code, Some(1), "{told}");
    assert!(counts(&told).starts_with("2048 changes"), "{told}");
    assert!(told.contains("cut off while it was copied"), "{told}");
    let epoch = |log: &str| {
        log.lines()
            .next()
            .unwrap()
            .split(',')
            .nth(2)
            .map(str::to_owned)
    };
    assert_ne!(epoch(&export(&database).await), epoch(&log));
    let again = failed(&import(&database, &log).await);
    assert!(again.contains("its log ends at 2048"), "{again}");
}

/// The golden log with one line changed.
fn with(number: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut lines: Vec<String> = GOLDEN.lines().map(str::to_owned).collect();
    lines[number - 1] = change(&lines[number - 1]);
    lines.join("\n") + "\n"
}

fn replaced(number: usize, from: &str, to: &str) -> String {
    with(number, |line| {
        assert!(line.contains(from), "{line} has no {from}");
        line.replacen(from, to, 1)
    })
}

#[tokio::test]
async fn an_input_that_is_no_whole_and_faithful_export_is_refused_and_nothing_of_it_is_loaded() {
    let database = Database::folder();
    let twice = |line: &str| format!("{line}\n{line}");
    let cut = |at: usize| GOLDEN[..at].to_owned();
    let end = GOLDEN.rfind("{\"end\"").unwrap();
    for (what, log, said) in [
        (
            "nothing",
            String::new(),
            "line 1: there is nothing to import",
        ),
        (
            "another file",
            "{\"events\":[]}\n".to_owned(),
            "line 1: it is not the first line",
        ),
        (
            "a newer format",
            replaced(1, "\"format\":3", "\"format\":4"),
            "line 1: it is a log in format 4; this livelog reads format 3",
        ),
        (
            "no epoch",
            replaced(1, "epoch", "epok"),
            "line 1: missing field `epoch`",
        ),
        (
            "cut between lines",
            cut(end),
            "line 9: the input ends here: it was cut off",
        ),
        (
            "cut in a line",
            cut(end - 100),
            "line 8: the input ends in the middle of it: it was cut off",
        ),
        (
            "cut in the end",
            cut(GOLDEN.len() - 1),
            "line 9: the input ends in the middle of it",
        ),
        (
            "a line doubled",
            with(3, twice),
            "line 4: it is change 2, where change 3 should be",
        ),
        (
            "a line lost",
            with(5, |_| GOLDEN.lines().nth(5).unwrap().to_owned()),
            "line 5: it is change 5, where change 4 should be",
        ),
        (
            "a line broken",
            with(4, |line| line.replacen(':', ";", 3)),
            "line 4: expected `:` (at column",
        ),
        (
            "a line of another kind",
            replaced(4, "update", "upsert"),
            "line 4: \"upsert\" is no kind of change",
        ),
        (
            "a part missing",
            replaced(6, "before", "data"),
            "line 6: a create has data, an update before and patch, a delete before",
        ),
        (
            "a part too much",
            replaced(6, "\"at\"", "\"why\":1,\"at\""),
            "line 6: unknown field `why`",
        ),
        (
            "another event",
            replaced(6, "\"_id\":\"b\"", "\"_id\":\"a\""),
            "line 6: its event is not that of the change",
        ),
        (
            "another version",
            replaced(6, "\"version\":2", "\"version\":3"),
            "line 6: its event is not that of the change",
        ),
        (
            "what is redacted, after a later change",
            with(6, |_| {
                r#"{"seq":5,"kind":"delete","eventId":"b","version":2,"at":"2026-01-31T12:00:00.005Z","redacted":true,"prior":5}"#.to_owned()
            }),
            "line 6: the change before it is not before it",
        ),
        (
            "a time that is none",
            replaced(6, "12:00:00.005Z", "noon"),
            "is no time",
        ),
        (
            "a name that clients may not use",
            replaced(8, "again", "_again"),
            "line 8: _again: names beginning with _",
        ),
        (
            "a number that no 64 bits hold",
            replaced(4, "\"n\":1", "\"n\":18446744073709551616"),
            "line 4: before.deep.n: the number does not fit 64 bits",
        ),
        (
            "a place beyond 64 bits",
            replaced(4, "\"seq\":3", "\"seq\":9223372036854775808"),
            "line 4: seq: the number does not fit 64 bits",
        ),
        (
            "a name twice in an event",
            replaced(4, "\"n\":1", "\"n\":1,\"n\":1"),
            "line 4: before.deep.n: the same name twice in one object",
        ),
        (
            "a name twice in a change",
            replaced(4, "\"seq\":3", "\"seq\":3,\"seq\":3"),
            "line 4: seq: the same name twice in one object",
        ),
        (
            "another before",
            replaced(4, "\"n\":1", "\"n\":9"),
            "line 4: change 3 does not follow",
        ),
        (
            "an event created twice",
            replaced(5, "\"é/1\"", "\"a\"").replacen("\"_id\":\"é/1\"", "\"_id\":\"a\"", 1),
            "line 5: change 4 does not follow",
        ),
        (
            "a patch that does not fit",
            replaced(4, "deep.n", "title.n"),
            "line 4: its patch does not fit",
        ),
        (
            "another value in the end",
            replaced(8, "true", "false"),
            "line 9: the changes are not those that were exported",
        ),
        (
            "another time of a delete",
            replaced(
                6,
                "\"at\":\"2026-01-31T12:00:00.005Z",
                "\"at\":\"2026-01-31T12:00:00.004Z",
            ),
            "line 9: the changes are not those that were exported",
        ),
        (
            "more than was said",
            replaced(1, "\"head\":7", "\"head\":6"),
            "line 8: a change more than the 6",
        ),
        (
            "less than was said",
            replaced(1, "\"head\":7", "\"head\":8"),
            "line 9: the end comes after 7 changes, and the first line names 8",
        ),
        (
            "more after the end",
            format!("{GOLDEN}\n"),
            "line 10: something follows after the end",
        ),
        (
            "an endless line",
            "x".repeat(17 << 20),
            "line 1: it is longer than 16777216 bytes",
        ),
    ] {
        let refused = failed(&import(&database, &log).await);
        assert!(refused.contains(said), "{what}: {refused}");
        assert!(refused.contains("nothing was loaded"), "{what}: {refused}");
    }
    // Nothing of all that is in the way of the real one.
    succeeded(&import(&database, GOLDEN).await);
}

#[tokio::test]
async fn an_export_that_nobody_reads_to_its_end_stops_without_a_panic() {
    let source = Server::start().await;
    long_log(&source, 3_000).await;
    let mut exporting = command();
    exporting.arg("export").args(source.database.arguments());
    exporting.stdin(Stdio::null());
    // The reading end is closed before anything is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    exporting.stdout(writer);
    let said = failed(&output(exporting).await);
    assert!(
        said.contains("stopped after change") && said.contains("stopped reading"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_beside_a_running_server_is_whole_as_of_its_head() {
    let server = Server::start().await;
    let load = Load::start(&[&server], 4).await;
    load.until_answered(500).await;
    let log = export(&server.database).await;
    load.stop().await;
    let folder = Database::folder();
    let (said, _) = succeeded(&import(&folder, &log).await);
    let head: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(head["head"].as_u64().unwrap() >= 500, "{head}");
    assert_eq!(verified(&folder).await, counts(&said));
}

async fn an_input_that_is_no_export_makes_no_store(server: Server) {
    let database = server.database.another().await;
    let folder = scratch();
    let nowhere = folder.path().join("data");
    let mut arguments = database.arguments();
    if database.is_folder() {
        arguments = vec!["--data".to_owned(), nowhere.to_str().unwrap().to_owned()];
    }
    for input in [
        "",
        "\n",
        "{}\n",
        "[1]\n",
        "{\"livelog\":\"log\"",
        "{\"livelog\":1}\n",
        "\u{0}",
    ] {
        let mut import = command();
        import
            .arg("import")
            .args(&arguments)
            .stdin(stdin(input.as_bytes()));
        let said = failed(&output(import).await);
        assert!(said.contains("nothing was loaded: line 1"), "{said}");
    }
    assert!(!nowhere.exists());
    if !database.is_folder() {
        let collections = database.driver().await.list_collection_names().await;
        assert_eq!(collections.unwrap(), [""; 0]);
    }
}
