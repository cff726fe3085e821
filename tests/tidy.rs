//! Rules about the source itself that no lint knows.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// A source file by its path below `src/`.
struct SourceFile {
    name: String,
    text: String,
}

impl SourceFile {
    /// Without unit tests and comments: what the rules about dependencies are about.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        text.lines()
            .map(without_comment)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// How many `super::` lead from its module to the crate.
    fn depth(&self) -> usize {
        let path = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').count()
    }

    /// Whether it is a file of unit tests.
    fn is_test(&self) -> bool {
        self.name.contains("/tests/") || self.name.ends_with("/tests.rs")
    }

    fn under(&self, folder: &str) -> bool {
        self.name.starts_with(folder)
    }
}

/// Good enough for this source: a `//` inside a string is taken for a comment, which hides no import.
fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap()
}

fn sources(folder: &str) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                sources.push(SourceFile {
                    name,
                    text: fs::read_to_string(path).unwrap(),
                });
            }
        }
    }
    assert!(!sources.is_empty());
    sources
}

/// Files with code that matches `pattern` although they are not `allowed` to.
fn offenders(pattern: &str, allowed: impl Fn(&SourceFile) -> bool) -> Vec<String> {
    let pattern = regex::Regex::new(pattern).unwrap();
    let sources = sources("src").into_iter();
    sources
        .filter(|source| !allowed(source) && pattern.is_match(&source.code()))
        .map(|source| source.name)
        .collect()
}

#[test]
fn the_database_driver_stays_under_its_store() {
    let allowed = |source: &SourceFile| source.under("store/mongo/");
    assert_eq!(offenders(r"\b(mongodb|bson)::", allowed), [""; 0]);
}

#[test]
fn the_embedded_engine_stays_under_its_store() {
    let allowed = |source: &SourceFile| source.under("store/embedded/");
    assert_eq!(offenders(r"\b(redb|imbl|crc32c)::", allowed), [""; 0]);
}

#[test]
fn the_web_framework_stays_under_the_transports() {
    let allowed = |source: &SourceFile| source.under("transport/");
    assert_eq!(
        offenders(
            r"\b(axum|hyper|hyper_util|tower|percent_encoding)::",
            allowed
        ),
        // A client, of the issuers that publish their keys.
        ["guard/fetch.rs"]
    );
    let speaks_websocket =
        |source: &SourceFile| source.under("transport/") || source.under("bench/");
    assert_eq!(
        offenders(r"\btokio_tungstenite::", speaks_websocket),
        [""; 0]
    );
}

/// A build without Socket.IO lacks two folders, and one line that opens the door.
#[test]
fn socketio_is_known_to_its_own_rooms_alone() {
    let allowed = |source: &SourceFile| {
        ["protocol/socketio/", "transport/socketio/"]
            .iter()
            .any(|folder| source.under(folder))
    };
    assert_eq!(offenders(r"\bsocketio::", allowed), ["transport/mod.rs"]);
}

/// The wire's JSON is written in `protocol` alone. What else writes JSON: the rooms below it, for digests, sizes and cursors;
/// the export; the note of a move; what `livelog key new` prints; and the load generator, which is a client.
#[test]
fn the_wire_is_written_in_protocol() {
    let allowed = |source: &SourceFile| {
        [
            "protocol/",
            "value/",
            "query/",
            "domain/",
            "offline/",
            "store/move_progress.rs",
            "bench/",
            // A line of the access file, and a rule of it.
            "credentials/",
            "guard/check.rs",
        ]
        .iter()
        .any(|folder| source.under(folder))
            || source.is_test()
    };
    let found = offenders(
        r#"b?r#+"[\s\[{,]*[\[{,"]|"[\s{\[,]*\{*\\"\w+\\":|"\{\\"|\bserde_json::(to_|ser\b|json!|\{)|\baxum::(\{[^;]*\b)?Json\b|\bjson!|\bserialize_(map|struct|seq)\b"#,
        allowed,
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn each_layer_knows_only_those_below_it() {
    // What each may import of the crate, beside itself; `main` and `lib` import nothing.
    let pure = ["domain", "query", "value", "limits"];
    let wire = [&["protocol"], &pure[..]].concat();
    let stored = [
        &[
            "store",
            "indexes",
            "budget",
            "fairness",
            "metrics",
            "panics",
            "telemetry",
        ],
        &wire[..],
    ]
    .concat();
    let layers: [(&str, Vec<&str>); 31] = [
        ("limits", vec![]),
        ("budget", vec![]),
        ("metrics", vec![]),
        ("telemetry", vec![]),
        ("panics", vec![]),
        ("fairness", vec![]),
        ("wall_clock", vec!["domain"]),
        ("settling", vec![]),
        // It speaks the wire protocol as any client does: it knows nothing here, and only `cli` and `program` know it.
        ("bench", vec![]),
        ("value", vec!["limits"]),
        ("query", vec!["value", "limits"]),
        ("indexes", vec!["query", "value", "limits"]),
        ("domain", vec!["query", "value", "limits"]),
        ("adoption", vec!["domain", "value", "limits"]),
        ("identity", vec!["domain", "value", "limits"]),
        ("access", pure.to_vec()),
        ("quota", [&["access", "fairness"], &wire[..]].concat()),
        (
            "guard",
            [
                &["access", "identity", "settling", "telemetry", "wall_clock"],
                &wire[..],
            ]
            .concat(),
        ),
        ("credentials", vec!["identity", "value"]),
        ("protocol", pure.to_vec()),
        (
            "store",
            [
                &[
                    "adoption",
                    "budget",
                    "fairness",
                    "indexes",
                    "panics",
                    "telemetry",
                ],
                &pure[..],
            ]
            .concat(),
        ),
        (
            "engine",
            [
                &[
                    "access",
                    "store",
                    "indexes",
                    "fairness",
                    "metrics",
                    "telemetry",
                    "wall_clock",
                ],
                &pure[..],
            ]
            .concat(),
        ),
        ("feed", stored.clone()),
        (
            "node",
            [
                &["access", "quota", "engine", "feed", "fairness"],
                &stored[..],
            ]
            .concat(),
        ),
        (
            "session",
            [&["access", "guard", "quota", "node"], &wire[..]].concat(),
        ),
        (
            "transport",
            [
                &[
                    "access",
                    "guard",
                    "quota",
                    "session",
                    "settling",
                    "node",
                    "telemetry",
                ],
                &wire[..],
            ]
            .concat(),
        ),
        (
            "offline",
            [
                &[
                    "access",
                    "adoption",
                    "engine",
                    "fairness",
                    "store",
                    "wall_clock",
                ],
                &pure[..],
            ]
            .concat(),
        ),
        (
            "server",
            vec![
                "transport",
                "guard",
                "indexes",
                "quota",
                "node",
                "store",
                "telemetry",
                "limits",
            ],
        ),
        (
            "cli",
            vec![
                "bench",
                "credentials",
                "guard",
                "indexes",
                "offline",
                "server",
                "transport",
                "store",
                "telemetry",
                "domain",
                "limits",
            ],
        ),
        (
            "program",
            vec![
                "cli",
                "server",
                "offline",
                "bench",
                "credentials",
                "guard",
                "store",
                "panics",
                "telemetry",
                "limits",
            ],
        ),
        ("manual", vec![]),
    ];
    let import = regex::Regex::new(r"\b(crate::|(?:super::)+)(\w+)").unwrap();
    let sources = sources("src");
    let module = |source: &SourceFile| source.name.split(['/', '.']).next().unwrap().to_owned();
    let modules: HashSet<String> = sources.iter().map(module).collect();
    let mut wrong = Vec::new();
    for source in sources {
        let module = module(&source);
        if ["main", "lib"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = layers.iter().find(|(layer, _)| *layer == module) else {
            wrong.push(format!("there is no rule for src/{}", source.name));
            continue;
        };
        let code = source.code();
        if code.contains("crate::{") || code.contains("super::{self") {
            wrong.push(format!("src/{} hides its rooms in braces", source.name));
        }
        for found in import.captures_iter(&code) {
            let is_of_the_crate = &found[1] == "crate::" || found[1].len() / 7 == source.depth();
            let imported = &found[2];
            let is_below = imported == module || allowed.contains(&imported);
            if is_of_the_crate && modules.contains(imported) && !is_below {
                wrong.push(format!("src/{} imports crate::{imported}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A store's folder, its rooms, and what each of them may import of the others. Rooms that put the others together have
/// no row.
type StoreRooms = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static [&'static str])],
);

const STORE_ROOMS: [StoreRooms; 2] = [
    (
        "store/embedded",
        &["file", "format", "read", "tail", "write"],
        &[
            // It says what an I/O error of the file means.
            ("format", &["file"]),
            ("read", &["format"]),
            ("write", &["format", "read", "file"]),
            ("tail", &[]),
        ],
    ),
    (
        "store/mongo",
        &["open", "read", "source", "tail", "wire", "write"],
        &[
            ("wire", &[]),
            ("read", &["wire"]),
            ("source", &["wire", "open"]),
            ("tail", &["wire", "read"]),
            // `open` makes the indexes whose names a refused write is recognized by.
            ("write", &["wire", "read", "tail", "open"]),
        ],
    ),
];

#[test]
fn the_rooms_of_a_store_know_only_those_below_them() {
    let mut wrong = Vec::new();
    for (store, rooms, layers) in STORE_ROOMS {
        for (room, allowed) in layers {
            let sources = sources(&format!("src/{store}/{room}"));
            for source in &sources {
                for imported in imported_rooms(source, store, rooms) {
                    if imported != *room && !allowed.contains(&imported.as_str()) {
                        wrong.push(format!("{store}/{room}/{} imports {imported}", source.name));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rooms of its store that a file imports, by the path from the crate or by `super`.
fn imported_rooms(source: &SourceFile, store: &str, rooms: &[&str]) -> Vec<String> {
    let store = store.replace('/', "::");
    let path =
        regex::Regex::new(&format!(r"\b(crate::{store}|super)::(\{{[^}}]*\}}|\w+)")).unwrap();
    let name = regex::Regex::new(r"\w+").unwrap();
    // Of a room's own files `mod.rs` alone has the other rooms under `super`.
    let is_root = source.name == "mod.rs";
    let mut imported = Vec::new();
    for found in path.captures_iter(&source.code()) {
        if &found[1] == "super" && !is_root {
            continue;
        }
        let names = name.find_iter(&found[2]).map(|name| name.as_str());
        imported.extend(names.filter(|name| rooms.contains(name)).map(str::to_owned));
    }
    imported
}

/// Names of types are looked for across the crate, so each must lead to one place.
#[test]
fn no_type_name_stands_twice() {
    let start = regex::Regex::new(
        r"^( *)(pub(\([a-z: ]+\))? )?(unsafe )?(struct|enum|trait|union|type|impl)\b[ <](\w*)",
    )
    .unwrap();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src") {
        // Columns at which an `impl` or `trait` is open: `type` one step further in is an associated type.
        let mut open: Vec<usize> = Vec::new();
        for line in source.text.lines().map(without_comment) {
            let column = line.len() - line.trim_start().len();
            if line.trim() == "}" {
                open.retain(|block| *block < column);
            }
            let Some(found) = start.captures(line) else {
                continue;
            };
            let is_associated = open.last().is_some_and(|block| block + 4 == column);
            let is_block = !line.ends_with(['}', ';']);
            match &found[5] {
                "impl" if is_block => open.push(column),
                "impl" => {}
                "type" if is_associated => {}
                keyword => {
                    let name = found[6].to_owned();
                    places.entry(name).or_default().push(source.name.clone());
                    if keyword == "trait" && is_block {
                        open.push(column);
                    }
                }
            }
        }
    }
    assert!(places.len() > 300, "the test reads types: {}", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn the_pure_layers_have_no_clock_chance_or_io() {
    let pure = |source: &SourceFile| {
        [
            "value/",
            "query/",
            "indexes/",
            "domain/",
            "identity/",
            "access/",
            "adoption/",
            "protocol/",
        ]
        .iter()
        .any(|folder| source.under(folder))
    };
    let found = offenders(
        r"\basync fn|\.await\b|\btokio::|\b(SystemTime|Instant|Utc)\b|\bUuid::(new_v4|now_v7)|\bstd::(fs|net|io|env)\b|\bprintln!",
        |source| !pure(source),
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn every_bound_is_used() {
    let limits = sources("src/limits")
        .iter()
        .map(SourceFile::code)
        .collect::<String>();
    let constant = regex::Regex::new(r"pub const (\w+)").unwrap();
    let code: String = sources("src")
        .iter()
        .filter(|source| !source.under("limits/"))
        .map(SourceFile::code)
        .collect();
    let unused: Vec<&str> = constant
        .captures_iter(&limits)
        .map(|found| found.get(1).unwrap().as_str())
        .filter(|name| {
            !regex::Regex::new(&format!(r"\b{name}\b"))
                .unwrap()
                .is_match(&code)
        })
        .collect();
    assert!(unused.is_empty(), "bounds that bound nothing: {unused:?}");
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for folder in ["src", "tests"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            assert!(
                source.text.starts_with("//! "),
                "{folder}/{} begins without //!",
                source.name
            );
            // A test file is a list of facts, read one at a time.
            assert!(
                folder == "tests" || lines <= FILE_LINES_MAX,
                "{folder}/{} has {lines} lines",
                source.name
            );
        }
    }
}

#[test]
fn functions_are_short() {
    let start =
        regex::Regex::new(r"^( *)(pub(\([a-z: ]+\))? )?(const )?(async )?fn (\w+)").unwrap();
    let mut long = Vec::new();
    for source in sources("src") {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            // A test may be a long table of cases.
            let is_test = at > 0
                && lines[at - 1].trim_start().starts_with("#[")
                && lines[at - 1].contains("test");
            let Some(found) = start.captures(line).filter(|_| !is_test) else {
                continue;
            };
            // rustfmt puts the closing brace of a function below its first letter.
            let end = format!("{}}}", &found[1]);
            let length = lines[at..]
                .iter()
                .position(|line| *line == end)
                .map_or(1, |length| length + 1);
            if length > FUNCTION_LINES_MAX && !lines[at].ends_with(';') {
                long.push(format!(
                    "src/{}: {} has {length} lines",
                    source.name, &found[6]
                ));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn what_is_not_done_is_an_issue_and_no_comment() {
    let marks = ["TO", "DO"].concat();
    let fixes = ["FIX", "ME"].concat();
    for source in ["src", "tests"].into_iter().flat_map(sources) {
        assert!(
            !source.text.contains(&marks) && !source.text.contains(&fixes),
            "{}",
            source.name
        );
        assert!(
            !source.text.contains(&["#[ig", "nore"].concat()),
            "{}",
            source.name
        );
    }
}

#[test]
fn the_readme_lists_every_code_with_its_status() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for code in livelog::protocol::Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.http_status());
        assert!(readme.contains(&row), "{row}");
        if let Some(close) = code.close_code() {
            assert!(readme.contains(&close.to_string()), "{close}");
        }
    }
}
