//! The `livelog` command.

use std::env;
use std::process::ExitCode;

/// Many small values, made by one thread and dropped by another, are what glibc's allocator is slowest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    livelog::program::run(env::args_os())
}
