//! Node and what the tests take from npm, as `tests/js/package-lock.json` pins them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::database::output;

/// Runs a script below `tests/js` to its end, and returns what it wrote to stdout.
pub async fn node(script: &str, arguments: &[&str]) -> String {
    let folder = folder();
    let mut command = Command::new(folder.join("node_modules/.bin/node"));
    command.current_dir(folder).arg(script).args(arguments);
    let ended = output(command).await;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{script}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}

/// The folder, with everything installed: once, if it is not.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
        if !folder.join("node_modules/.bin/node").exists() {
            let mut npm = Command::new("npm");
            let npm = npm
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&folder);
            let installed = npm.status().expect("npm, which comes with Node");
            assert!(installed.success(), "npm ci in {}", folder.display());
        }
        folder
    })
}
