//! The resident memory of a server on this machine.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::MissedTickBehavior;

/// Bytes in the unit of reports.
pub(super) const MIB: f64 = 1024.0 * 1024.0;

/// How often memory is read until it has settled.
const SETTLE_POLL: Duration = Duration::from_millis(500);

/// Readings after which memory counts as settled, though it may still change.
const SETTLE_READINGS_MAX: u32 = 20;

/// How often memory is read for its peak.
const PEAK_POLL: Duration = Duration::from_millis(10);

/// Bytes of the process now.
pub(super) fn now(pid: Option<u32>) -> Result<Option<u64>> {
    pid.map(resident_bytes).transpose()
}

/// The result of `work`, and the most bytes that the process was seen with meanwhile.
pub(super) async fn peak_during<T>(
    pid: Option<u32>,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, Option<u64>)> {
    let mut readings = tokio::time::interval(PEAK_POLL);
    readings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut peak = None;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, peak.max(now(pid)?))),
            _ = readings.tick(), if pid.is_some() => peak = peak.max(now(pid)?),
        }
    }
}

/// Bytes of the process once two readings in a row agree within a hundredth.
pub(super) async fn settled(pid: Option<u32>) -> Result<Option<u64>> {
    let Some(pid) = pid else { return Ok(None) };
    let mut last = resident_bytes(pid)?;
    for _ in 0..SETTLE_READINGS_MAX {
        tokio::time::sleep(SETTLE_POLL).await;
        let now = resident_bytes(pid)?;
        if now.abs_diff(last) < now / 100 {
            return Ok(Some(now));
        }
        last = now;
    }
    Ok(Some(last))
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}: is --pid a process on this machine?"))?;
    resident_of(&status).with_context(|| format!("{path} does not tell resident memory"))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tlivelog\nVmHWM:\t    9 kB\nVmRSS:\t    1536 kB\nThreads:\t3\n";
        assert_eq!(resident_of(status), Some(1536 * 1024));
        assert_eq!(resident_of("Name:\tkthread\n"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = resident_bytes(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("--pid"), "{error}");
    }
}
