//! The `livelog` command.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

/// glibc's allocator is slowest at many small values that one thread allocates and another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().collect();
    livelog::program::run(&words)
}
