//! The process: reads the command line, runs the task that it names, and prints why that failed.

use std::ffi::OsString;
use std::io;
use std::panic;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::bench;
use crate::cli::{Cli, Task};
use crate::credentials;
use crate::guard::{self, CheckArguments};
use crate::limits;
use crate::offline;
use crate::offline::ImportOptions;
use crate::panics::{cause_of, panic_is_expected};
use crate::server::{Config, Server};
use crate::store::StoreOptions;
use crate::telemetry;

/// Whether the task is done, and the process about to exit.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Runs the command line, whose first word is the program's name: called by a process's main thread, which does nothing
/// else.
///
/// Not generic: whoever calls a generic function compiles all that it calls once more.
pub fn run(words: &[OsString]) -> ExitCode {
    let cli = Cli::read(words);
    end_where_main_panics();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(limits::READ_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(carry_out(cli));
    IS_OVER.store(true, Ordering::Relaxed);
    // The reads that still run on other threads are for clients that are gone: the exit does not wait for them.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Ends the process when its main thread panics. tokio panics where the system has no file descriptor or thread for it,
/// and unwinding would wait for threads that never began; so the process prints what it lacked and exits. Panics of other
/// threads are printed as usual, unless they are expected: then their callers report them; or the process is about to
/// exit: then a library has lost the runtime under it, and nobody waits for what it did.
fn end_where_main_panics() {
    let (main, default_hook) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        let (cause, location) = (cause_of(panic.payload()), panic.location());
        if panic_is_expected() {
            return tracing::debug!(?location, cause, "what is stored was not understood");
        }
        if thread::current().id() != main && IS_OVER.load(Ordering::Relaxed) {
            return tracing::debug!(?location, cause, "the exit cut off a task");
        }
        if thread::current().id() != main {
            return default_hook(panic);
        }
        let cause = readable(cause);
        tracing::debug!(?location, "the main thread failed");
        eprintln!("livelog: cannot go on: {cause}");
        process::exit(1);
    }));
}

/// Replaces the debug format of an operating system's error, which panics show, by the system's own message.
fn readable(cause: &str) -> String {
    let debugged = cause.split_once("Os { code: ");
    let message = debugged.and_then(|(before, error)| {
        let code = error.split(',').next()?.parse().ok()?;
        Some(format!("{before}{}", io::Error::from_raw_os_error(code)))
    });
    message.unwrap_or_else(|| cause.to_owned())
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("livelog: {error:#}");
    ExitCode::FAILURE
}

async fn carry_out(cli: Cli) -> anyhow::Result<ExitCode> {
    let (task, log) = cli.into_task()?;
    telemetry::start(&log)?;
    match task {
        Task::Serve(config) => serve(config).await,
        Task::Replay(store) => offline::replay(&store).await,
        Task::Copy(store, until, into) => offline::copy(&store, until, &into).await,
        Task::Redact(store, id) => offline::redact(&store, &id).await,
        Task::Verify(store) => offline::verify(&store).await,
        Task::Export(store) => offline::export(&store).await,
        Task::Import(ImportOptions::Log(input), store) => offline::import(&input, &store).await,
        Task::Import(ImportOptions::Documents(input, format, intake), store) => {
            offline::import_documents(&input, format, &intake, &store).await
        }
        Task::Adopt(options, store) => offline::adopt(&options, &store).await,
        Task::Bench(options) => bench::run(options).await.map(|()| ExitCode::SUCCESS),
        Task::Token(options) => credentials::print_token(&options),
        Task::NewApiKey(key) => credentials::print_api_key(&key),
        Task::CheckAccess(arguments, store) => check_access(&arguments, &store).await,
    }
}

async fn check_access(
    arguments: &CheckArguments,
    store: &StoreOptions,
) -> anyhow::Result<ExitCode> {
    let event = match arguments.event() {
        None => None,
        Some(id) => offline::event(store, id).await?,
    };
    let text = guard::check(arguments, event.as_ref());
    print!("{}", text.map_err(|reason| anyhow::anyhow!(reason))?);
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    // Each session takes a file descriptor: the usual soft limit of 1024 would be the first bound reached.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!("{}", config.store);
    let server = Server::bind(config).await?;
    println!(
        "listening on {}://{}",
        server.scheme(),
        server.local_addr()?
    );
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    server.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
