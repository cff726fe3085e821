//! Watching the file: is it still there, is there room on the disk; and reopening it after an error of the disk.
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | sound | appends are written | an error of the disk, too little room, the loss of the file |
//! | short of room | nothing was tried: appends fail with `Full` | enough room |
//! | stale (`is_stale`) | what the file holds is unknown: appends fail until it is reopened | reopening it |
//! | lost (`is_lost`) | the file at the path is another one, or none: the store has failed | nothing |
//!
//! Whatever the error was, the file is reopened and read as after a restart. Until then readers have the snapshot that
//! was acknowledged last, and appends fail with the reason. Afterwards the batch in doubt is in the log or is not; the
//! engine asks.

use std::time::{Duration, Instant};

use super::data_dir::{DataDir, EmbeddedOpenError};
use super::medium;
use super::medium::Medium;
use super::open;
use crate::limits;
use crate::store::StoreError;
use crate::store::embedded::format::tables::write_error;
use crate::store::embedded::write::checkpoint::Checkpoint;
use crate::store::embedded::write::thread::Writer;

/// The longest pause between two attempts to reopen the file: each may read the whole file.
const ATTEMPT_PAUSE_MAX: Duration = Duration::from_secs(15);

/// When the file is inspected next, and what state it is in.
#[derive(Debug)]
pub(crate) struct FileWatch {
    next: Instant,
    /// Between the last attempt to reopen the file and the next.
    pause: Duration,
    /// Whether the file must be reopened before it is written to.
    is_stale: bool,
    /// Whether the file is not the one in the folder any more. That is final.
    is_lost: bool,
}

impl Default for FileWatch {
    fn default() -> Self {
        Self {
            next: Instant::now(),
            pause: Self::INTERVAL,
            is_stale: false,
            is_lost: false,
        }
    }
}

impl FileWatch {
    /// How soon a deleted file, or room on a full disk, is noticed while nothing is written.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
}

impl Writer {
    /// Stops the writing until the file is reopened.
    pub(crate) fn stop_writes(&mut self, error: StoreError) {
        self.watch.is_stale = true;
        self.shared.stop_writes(error);
    }

    /// Inspects the file if it is time.
    pub(crate) fn inspect_file(&mut self, now: Instant) {
        if now < self.watch.next || self.watch.is_lost {
            return;
        }
        self.watch.next = now + FileWatch::INTERVAL;
        if !self.is_in_place() {
            self.mark_lost("the data file was deleted, moved, replaced or cut off");
            return;
        }
        if let Err(error) = self.medium.ensure_written()
            && !self.watch.is_stale
        {
            // A read failed, and redb refuses every read after that.
            self.stop_writes(medium::disk_error(&error));
        }
        match self.shared.trouble() {
            Some(_) => self.try_resume(),
            None => drop(self.ensure_room([0])),
        }
    }

    /// Refuses what may not fit on the disk before redb tries to write it: then the file need not be reopened.
    pub(crate) fn ensure_room(
        &self,
        bytes: impl IntoIterator<Item = usize>,
    ) -> Result<(), StoreError> {
        let Some(room) = self
            .medium
            .free_bytes()
            .filter(|room| *room < limits::EMBEDDED_DISK_FREE_AMPLE)
        else {
            return Ok(());
        };
        let bytes: usize = bytes.into_iter().sum();
        if room >= limits::EMBEDDED_DISK_FREE_MIN + 3 * bytes as u64 {
            return Ok(());
        }
        let error = StoreError::Full(format!("its file system has {room} bytes left"));
        // A small write might still fit; but a store that refuses some writes has a trouble, and reports it.
        self.shared.stop_writes(error.clone());
        Err(error)
    }

    /// Resumes the writing, if its trouble is over.
    fn try_resume(&mut self) {
        // Half as much again, so that the writing does not stop and resume every second at the edge.
        let room = self.medium.free_bytes();
        if room.is_some_and(|room| room < limits::EMBEDDED_DISK_FREE_MIN / 2 * 3) {
            return;
        }
        let reopened = match self.watch.is_stale {
            true => self.reopen(),
            false => Ok(()),
        };
        match reopened {
            Ok(()) => {
                self.watch.is_stale = false;
                self.watch.pause = FileWatch::INTERVAL;
                self.shared.resume_writes();
            }
            Err(error) => {
                tracing::debug!(%error, "the data file cannot be reopened yet");
                self.shared.stop_writes(error);
                self.watch.next = Instant::now() + self.watch.pause;
                self.watch.pause = ATTEMPT_PAUSE_MAX.min(2 * self.watch.pause);
            }
        }
    }

    /// Reopens the file as a restart would, and checks that the disk takes a write.
    fn reopen(&mut self) -> Result<(), StoreError> {
        // From here on nothing reaches the disk through the old medium.
        self.medium
            .retire()
            .map_err(|error| medium::disk_error(&error))?;
        let unnamed = DataDir::unnamed();
        let data_dir = self.data_dir.as_ref().unwrap_or(&unnamed);
        let (database, medium) = self.open_again()?;
        let (epoch, flushed, snapshot) = open::load_state(&database, &medium, data_dir)?;
        let (acknowledged, head) = (self.shared.snapshot().seq, snapshot.seq);
        if !self.is_in_place() || epoch != self.shared.epoch || head < acknowledged {
            self.mark_lost("the data file is not the one that was written to");
            return Err(StoreError::Unwritable(
                "another file is in its place".to_owned(),
            ));
        }
        self.indexing.reset(&snapshot);
        let mut snapshot = Some(snapshot);
        if head == acknowledged {
            // Everything in it is known to be durable.
            snapshot
                .take()
                .into_iter()
                .for_each(|snapshot| self.shared.publish(snapshot));
        }
        // Closes the old database. From here on its pages may be written over, so nothing reads them any more.
        (self.database, self.medium) = (database, medium);
        self.checkpoint = Checkpoint::new(flushed, self.checkpoint.memtable_bytes_max());
        self.invalidate_rebuilds();
        self.try_save_allocator_state().map_err(write_error)?;
        self.is_allocator_state_saved = true;
        // Of the batch in doubt, whose durability this commit has proved.
        snapshot
            .into_iter()
            .for_each(|snapshot| self.shared.publish(snapshot));
        self.shared.notifier.advance_head(head);
        Ok(())
    }

    fn open_again(&self) -> Result<(redb::Database, Medium), EmbeddedOpenError> {
        match &self.data_dir {
            Some(data_dir) => data_dir.open_again(),
            None => {
                let medium = Medium::storage(self.medium.disk());
                DataDir::unnamed().open_medium(medium.map_err(|error| medium::disk_error(&error))?)
            }
        }
    }

    /// Whether the file is still the one that a restart would open.
    fn is_in_place(&self) -> bool {
        let data_dir = self.data_dir.as_ref();
        data_dir.is_none_or(|data_dir| self.medium.is_at(&data_dir.path()))
    }

    fn mark_lost(&mut self, reason: &str) {
        self.watch.is_lost = true;
        self.stop_writes(StoreError::Unwritable(reason.to_owned()));
        self.shared.failure_signal.fail(reason);
    }
}
