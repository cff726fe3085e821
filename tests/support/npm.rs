//! What the tests of clients and pages take from npm: installed once, as the lock file says, with the JavaScript client
//! among it as a user would have it.
//!
//! Nothing is skipped where something is missing: these tests are the only ones that judge what browsers run.
#![allow(
    dead_code,
    reason = "two test binaries share this file, and one uses a part"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::database::scratch;
use super::process::Process;
use super::server::BINARY;

/// Where `package.json` is, and the scripts.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js");

/// The JavaScript client.
pub const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clients/js");

/// The Node that scripts run with, from npm: the machine's own may be any.
const NODE: &str = "v24.";

/// Installs what is not installed, and returns the folder of its programs. Test processes that run at the same time
/// wait for each other.
pub fn programs() -> &'static Path {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match READY.get_or_init(prepare) {
        Ok(programs) => programs,
        Err(error) => panic!("{error}"),
    }
}

fn prepare() -> Result<PathBuf, String> {
    let lock_file = Path::new(FOLDER).join("package-lock.json");
    // It is never written here, and always there.
    let lock = File::open(lock_file).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let modules = Path::new(FOLDER).join("node_modules");
    let wanted = wanted()?;
    let stamp = modules.join(".installed");
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        npm(
            &["ci", "--no-audit", "--no-fund", "--no-progress"],
            Path::new(FOLDER),
        )?;
        fs::write(&stamp, &wanted).map_err(|error| error.to_string())?;
    }
    let programs = modules.join(".bin");
    check_node(&programs)?;
    install_client(&modules)?;
    Ok(programs)
}

/// What decides what is installed.
fn wanted() -> Result<String, String> {
    let read = |name: &str| fs::read_to_string(Path::new(FOLDER).join(name));
    let both = read("package.json").and_then(|package| Ok(package + &read("package-lock.json")?));
    both.map_err(|error| error.to_string())
}

fn npm(arguments: &[&str], folder: &Path) -> Result<String, String> {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| {
            format!(
                "npm is needed for the tests of the JavaScript client, and cannot be run ({error}): \
                 `apt-get install npm`"
            )
        })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "npm {} ended with {}:\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The package `node` has its program from a script that npm runs only where it is allowed to.
fn check_node(programs: &Path) -> Result<(), String> {
    let node = programs.join("node");
    let output = Command::new(&node).arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version {
        Ok(version) if version.starts_with(NODE) => Ok(()),
        other => Err(format!(
            "{} is no Node {NODE}: {other:?}. Remove tests/js/node_modules and run this again; if it stays so, npm did \
             not run the install scripts that tests/js/package.json allows",
            node.display()
        )),
    }
}

/// Puts `livelog` where `npm install` would: the files that `npm pack` packs, and no others.
fn install_client(modules: &Path) -> Result<(), String> {
    let folder = scratch();
    let place = folder.path().to_str().ok_or("a path that is not UTF-8")?;
    let packed = npm(
        &["pack", "--silent", "--pack-destination", place],
        Path::new(CLIENT),
    )?;
    let archive = packed.lines().last().unwrap_or_default();
    let unpacked = Command::new("tar")
        .args(["-xzf", archive])
        .current_dir(folder.path())
        .status();
    if !unpacked.is_ok_and(|status| status.success()) {
        return Err(format!("cannot unpack {archive}"));
    }
    let fresh = folder.path().join("package");
    let installed = modules.join("livelog");
    // Tests of another process may be reading it: it is touched only if it is another.
    if files(&fresh)? == files(&installed).unwrap_or_default() {
        return Ok(());
    }
    replace(&fresh, &installed).map_err(|error| error.to_string())
}

fn replace(fresh: &Path, installed: &Path) -> std::io::Result<()> {
    let old = installed.with_extension("old");
    for path in [&old, installed] {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    fs::rename(fresh, installed)
}

/// Names and contents of a folder's files, sorted.
pub fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        found.push((name.into_owned(), content));
    }
    found.sort();
    Ok(found)
}

/// Runs a script of `tests/js` with Node to its end, and fails with all that it said if it ends badly. It is stopped with
/// this process, however that ends.
pub async fn run<S: AsRef<OsStr>>(script: &str, arguments: &[S], deadline: Duration) -> String {
    let programs = tokio::task::spawn_blocking(programs).await.unwrap();
    let folder = scratch();
    let said = folder.path().join("said");
    let file = File::create(&said).unwrap();
    let errors = file.try_clone().unwrap();
    // `Process` has no environment of its own to give: `env` has.
    let mut words: Vec<std::ffi::OsString> = vec![
        format!("LIVELOG_BINARY={BINARY}").into(),
        format!("LAB_FOLDER={}", folder.path().display()).into(),
        concat!("LAB_KEPT=", env!("CARGO_TARGET_TMPDIR")).into(),
        programs.join("node").into(),
        Path::new(FOLDER).join(script).into(),
    ];
    words.extend(arguments.iter().map(|word| word.as_ref().to_owned()));
    let mut process = Process::start(
        Path::new("env"),
        words,
        Some(folder.path()),
        Stdio::from(file),
        Stdio::from(errors),
    )
    .unwrap();
    let status = process.wait(deadline).await;
    let said = String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned();
    match status {
        Ok(status) if status.success() => said,
        Ok(status) => panic!("{script} ended with {status}:\n{said}"),
        Err(error) => panic!("{script}: {error:#}:\n{said}"),
    }
}

/// Runs a program from npm in `tests/js`, and returns its stdout.
pub fn program(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(programs().join(name))
        .args(arguments)
        .current_dir(FOLDER)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name} {}:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
