//! The processor time of a server on this machine.

use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks a second in which Linux tells it to programs, whatever its own clock is.
const TICKS_PER_SECOND: u32 = 100;

/// What the process has taken since it began, in its own code and the kernel's.
pub(super) fn time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}: is --pid a process on this machine?"))?;
    let ticks = ticks_of(&stat).with_context(|| format!("{path} does not tell times"))?;
    Ok(Duration::from_secs(ticks) / TICKS_PER_SECOND)
}

/// The fields after the name, which may hold spaces and ends with the last bracket: the 12th and 13th are times.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let [user, system] = [times.next()?, times.next()?].map(|ticks| ticks.parse::<u64>().ok());
    Some(user? + system?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 1 1 1";
        assert_eq!(ticks_of(stat), Some(300));
        assert_eq!(ticks_of("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_has_taken_some_time() {
        assert!(time(std::process::id()).is_ok());
        assert!(time(u32::MAX).is_err());
    }
}
