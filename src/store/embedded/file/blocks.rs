//! Writes kept in memory in front of a disk that refuses them; reads see both as one.
//!
//! Invariant: `disk_bytes <= bytes`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use redb::StorageBackend;

/// The size of a block: that of redb's pages.
const BLOCK_BYTES: u64 = 4096;

/// The blocks that differ from the disk. They take as much memory as was written: one commit, or what a repair changes.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: BTreeMap<u64, Box<[u8]>>,
    /// Bytes below this offset come from the disk; above it, bytes without a block read as zero.
    disk_bytes: u64,
    bytes: u64,
}

impl Blocks {
    /// No block yet, in front of a disk of this length.
    pub(super) fn above(bytes: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            disk_bytes: bytes,
            bytes,
        }
    }

    /// The length of both together.
    pub(super) fn len(&self) -> u64 {
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

    pub(super) fn write(
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
                self.read_disk(disk, start, &mut block)?;
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

    pub(super) fn read(
        &self,
        disk: &dyn StorageBackend,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let range = offset..offset + out.len() as u64;
        if range.end > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        debug_assert!(
            self.disk_bytes <= self.bytes,
            "no more is read than there is"
        );
        self.read_disk(disk, offset, out)?;
        let first = offset - offset % BLOCK_BYTES;
        for (start, block) in self.blocks.range(first..range.end) {
            let both = overlap(&range, &(*start..start + BLOCK_BYTES));
            let from = index(both.start - start)..index(both.end - start);
            out[index(both.start - offset)..index(both.end - offset)].copy_from_slice(&block[from]);
        }
        Ok(())
    }

    /// Reads from the disk up to `disk_bytes`, and fills the rest with zeros.
    fn read_disk(&self, disk: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let count = out.len().min(index(self.disk_bytes.saturating_sub(offset)));
        let (on_disk, beyond) = out.split_at_mut(count);
        beyond.fill(0);
        match on_disk.is_empty() {
            true => Ok(()),
            false => disk.read(offset, on_disk),
        }
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// An offset or a length in memory. A machine that can hold such a file has a `usize` of 64 bits.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
