//! A backlog: changes written before the measurement, for sessions to catch up with.

use anyhow::{Context, Result};

use super::client::{Client, Received};
use super::write::BenchWriter;

/// Commands in flight.
const UNANSWERED_MAX: u64 = 500;

/// Writes `count` changes as fast as one connection can; returns the `seq` of the last.
pub(super) async fn write(client: &mut Client, writer: &BenchWriter, count: u64) -> Result<u64> {
    let (mut left, mut last) = (count, 0);
    while left > 0 {
        let now = left.min(UNANSWERED_MAX);
        let note = |received: Received<'_>| {
            if let Received::Done { seq: Some(seq), .. } = received {
                last = last.max(seq);
            }
        };
        client
            .carry_out(0..now, |out, id, _| writer.create(out, id), note)
            .await
            .context("the changes to catch up with could not be written")?;
        left -= now;
    }
    Ok(last)
}
