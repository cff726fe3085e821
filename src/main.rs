//! The `livelog` command.

use std::env;
use std::process::ExitCode;

/// glibc's allocator is slowest at many small values that one thread allocates and another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    livelog::program::run(env::args_os())
}
