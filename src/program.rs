//! The program: reads the command line, carries out its task, and prints what went wrong.

use std::ffi::OsString;
use std::io;
use std::panic;
use std::process::{self, ExitCode};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::bench;
use crate::cli::{Cli, Task};
use crate::limits;
use crate::offline;
use crate::server::{Config, Server};
use crate::store::{cause_of, panic_is_expected};
use crate::telemetry;

/// Does what was typed, of which the first word is the program's name. For a process's main thread, and all that the
/// process does.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = Cli::read(arguments);
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
    // What is left is work for clients that are gone: reads on other threads, which would hold up the end.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| failed(&error))
}

/// tokio panics where the system has no descriptor or no thread for it: what it lacked is said. Unwinding would wait
/// for threads that never began. Of other threads' panics whoever looks after them says more, and all of it where they
/// are expected.
fn end_where_main_panics() {
    let (main, say) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        let (cause, location) = (cause_of(panic.payload()), panic.location());
        if panic_is_expected() {
            return tracing::debug!(?location, cause, "what is stored was not understood");
        }
        if thread::current().id() != main {
            return say(panic);
        }
        let cause = as_said(cause);
        tracing::debug!(?location, "the main thread failed");
        eprintln!("livelog: cannot go on: {cause}");
        process::exit(1);
    }));
}

/// A panic shows an error of the system as programmers see it; people are told what the system says.
fn as_said(cause: &str) -> String {
    let shown = cause.split_once("Os { code: ");
    let said = shown.and_then(|(before, error)| {
        let code = error.split(',').next()?.parse().ok()?;
        Some(format!("{before}{}", io::Error::from_raw_os_error(code)))
    });
    said.unwrap_or_else(|| cause.to_owned())
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
        Task::Import(store) => offline::import(&store).await,
        Task::Bench(options) => bench::run(options).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    // A file descriptor a session: the usual soft limit of 1024 would be the first bound reached.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!("{}", config.store);
    let server = Server::bind(config).await?;
    println!("listening on http://{}", server.local_addr()?);
    let told_to_stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    server.run(told_to_stop).await?;
    Ok(ExitCode::SUCCESS)
}
