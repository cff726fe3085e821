//! Writes kept in memory above a disk that does not take them, read as if it had.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use redb::StorageBackend;

/// Memory above the disk is kept in blocks of this size: redb's pages.
const BLOCK_BYTES: u64 = 4096;

/// What differs from the disk. It takes as much memory as was written: one commit, or what a repair changes.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: BTreeMap<u64, Box<[u8]>>,
    /// What counts of the disk: beyond it everything is zero.
    disk_bytes: u64,
    bytes: u64,
}

impl Blocks {
    /// Nothing written yet, above a disk of this length.
    pub(crate) fn above(bytes: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            disk_bytes: bytes,
            bytes,
        }
    }

    /// The length of both together.
    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }

    pub(super) fn resize(&mut self, bytes: u64) {
        self.disk_bytes = self.disk_bytes.min(bytes);
        self.blocks.retain(|start, _| *start < bytes);
        if let Some((start, block)) = self.blocks.iter_mut().next_back() {
            let end = index(bytes - start).min(block.len());
            block[end..].fill(0);
        }
        self.bytes = bytes;
    }

    pub(crate) fn write(
        &mut self,
        disk: &dyn StorageBackend,
        offset: u64,
        data: &[u8],
    ) -> io::Result<()> {
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let start = at - at % BLOCK_BYTES;
            let within = index(at - start);
            let (now, later) = rest.split_at(rest.len().min(index(BLOCK_BYTES) - within));
            if !self.blocks.contains_key(&start) {
                let mut block = vec![0; index(BLOCK_BYTES)];
                self.read_below(disk, start, &mut block)?;
                self.blocks.insert(start, block.into_boxed_slice());
            }
            if let Some(block) = self.blocks.get_mut(&start) {
                block[within..within + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            rest = later;
        }
        self.bytes = self.bytes.max(at);
        Ok(())
    }

    pub(crate) fn read(
        &self,
        disk: &dyn StorageBackend,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let asked = offset..offset + out.len() as u64;
        if asked.end > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(disk, offset, out)?;
        let first = offset - offset % BLOCK_BYTES;
        for (start, block) in self.blocks.range(first..asked.end) {
            let both = common(&asked, &(*start..start + BLOCK_BYTES));
            let from = index(both.start - start)..index(both.end - start);
            out[index(both.start - offset)..index(both.end - offset)].copy_from_slice(&block[from]);
        }
        Ok(())
    }

    /// Reads from the disk as far as it counts; the rest becomes zero.
    fn read_below(&self, disk: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let count = out.len().min(index(self.disk_bytes.saturating_sub(offset)));
        let (below, beyond) = out.split_at_mut(count);
        beyond.fill(0);
        match below.is_empty() {
            true => Ok(()),
            false => disk.read(offset, below),
        }
    }
}

fn common(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// A place in memory, which is smaller than what 64 bits count on no machine that has the file.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
