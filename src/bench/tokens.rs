//! The tokens that connections show, if the server asks for some: one after the other, from the first again after the last.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};

/// The scenarios share them.
static TOKENS: OnceLock<Vec<String>> = OnceLock::new();

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Lets connections show the tokens in a file, one a line.
pub(super) fn show(path: &Path) -> Result<()> {
    let what = || format!("--tokens {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    let tokens: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    ensure!(!tokens.is_empty(), "{}: no token in it", what());
    // A second file in one process would be another command line.
    let _ = TOKENS.set(tokens);
    Ok(())
}

/// The line of a request's head that shows the next token; empty if there is none to show.
pub(super) fn header() -> String {
    match TOKENS.get() {
        None => String::new(),
        Some(tokens) => {
            let token = &tokens[NEXT.fetch_add(1, Relaxed) % tokens.len()];
            format!("Authorization: Bearer {token}\r\n")
        }
    }
}
