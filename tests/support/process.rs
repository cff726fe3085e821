//! A child process that never outlives the one that started it, however that ends.
//!
//! Rust's test harness has no teardown and a test run may be killed outright, so a destructor is not
//! enough. Each child is started through `sh`, which leaves a watchdog behind before it becomes the
//! child: the watchdog reads a pipe whose other end only we hold, and when that closes without a word
//! it kills the child and removes the child's folder.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and the demo share this file, and each uses a part"
)]

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// `$$` is the child: `exec` keeps the process. A shell gives a background job an empty stdin, so the
/// pipe goes by descriptor 3. The child has to be gone before its folder is, or it would write it anew.
const GUARDED: &str = r#"
folder=$1; shift
exec 3<&0
{
    read -r word <&3
    if [ -z "$word" ]; then
        kill -9 $$
        tries=20
        while kill -0 $$ && [ $tries -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
        [ -z "$folder" ] || rm -rf "$folder"
    fi
} >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"#;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watchdog: ChildStdin,
}

impl Process {
    /// Starts `program`, in a process group of its own: Ctrl-C is for us, and we stop our children.
    /// If we die first, `folder` is removed once the child is gone.
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        folder: Option<&Path>,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", GUARDED, "guarded"])
            .arg(folder.unwrap_or(Path::new("")))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} through sh", program.display()))?;
        let watchdog = child.stdin.take().context("the pipe asked for above")?;
        Ok(Self { child, watchdog })
    }

    /// The operating system's name for it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, if it was asked for as a pipe and not taken before.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("cannot signal the child")
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if started.elapsed() > deadline {
                bail!("process {} still runs after {deadline:?}", self.id());
            }
            // `waitpid` has no deadline, so it is asked again and again.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // In this order: once the child is reaped its number may name another process, which the
        // watchdog must not kill. Where one of these fails there is nothing left to do.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(self.watchdog.write_all(b"gone\n"));
    }
}
