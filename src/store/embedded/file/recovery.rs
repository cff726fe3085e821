//! Looking after the file: whether it is still there, whether there is room, and opening it anew after the disk
//! refused something.
//!
//! Whatever was refused, what the file holds is found out as a restart finds it out: it is opened and read. Until
//! then readers have the snapshot that was acknowledged last, and who writes hears why not. The batch in doubt
//! is in the log that was read, or it is not; the engine asks.

use std::time::{Duration, Instant};

use super::data_dir::{DataDir, EmbeddedOpenError};
use super::medium;
use super::medium::Medium;
use super::open;
use crate::limits;
use crate::store::StoreError;
use crate::store::embedded::write::checkpoint::Checkpoint;
use crate::store::embedded::write::thread::Writer;

/// Attempts to open the file anew are at most this far apart: each may read all of it.
const ATTEMPT_PAUSE_MAX: Duration = Duration::from_secs(15);

/// When the file is looked after next.
#[derive(Debug)]
pub(crate) struct FileWatch {
    next: Instant,
    /// Between the last attempt to open it anew and the next.
    pause: Duration,
    /// Whether the file is to be opened anew before it is written to.
    is_stale: bool,
    /// Whether the file is not the one in the folder any more. Nothing makes up for that.
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
    /// How soon a file that was deleted is noticed while nothing is written, and room that was made.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
}

impl Writer {
    /// Writes nothing until the file is opened anew.
    pub(crate) fn stop(&mut self, error: StoreError) {
        self.watch.is_stale = true;
        self.shared.stop(error);
    }

    /// Looks at the file if it is time.
    pub(crate) fn look_after(&mut self, now: Instant) {
        if now < self.watch.next || self.watch.is_lost {
            return;
        }
        self.watch.next = now + FileWatch::INTERVAL;
        if !self.is_in_place() {
            self.lose("the data file was deleted, moved, replaced or cut off");
            return;
        }
        if let Err(error) = self.medium.sound()
            && !self.watch.is_stale
        {
            // A read that failed: redb reads nothing any more.
            self.stop(medium::trouble(&error));
        }
        match self.shared.trouble() {
            Some(_) => self.take_up(),
            None => drop(self.room_for([0])),
        }
    }

    /// Refuses what may not fit on the disk, before redb meets its end: then nothing need be opened anew.
    pub(crate) fn room_for(
        &self,
        bytes: impl IntoIterator<Item = usize>,
    ) -> Result<(), StoreError> {
        let Some(room) = self
            .medium
            .room()
            .filter(|room| *room < limits::EMBEDDED_ROOM_BYTES_AMPLE)
        else {
            return Ok(());
        };
        let bytes: usize = bytes.into_iter().sum();
        if room >= limits::EMBEDDED_ROOM_BYTES_MIN + 3 * bytes as u64 {
            return Ok(());
        }
        let error = StoreError::Full(format!("its file system has {room} bytes left"));
        // What is small might fit yet; but a store that refuses some of what it is asked is not well, and says so.
        self.shared.stop(error.clone());
        Err(error)
    }

    /// Goes on, if what stopped the writing is over.
    fn take_up(&mut self) {
        // Half as much again, so that a disk at the edge is not taken up and given up every second.
        let room = self.medium.room();
        if room.is_some_and(|room| room < limits::EMBEDDED_ROOM_BYTES_MIN / 2 * 3) {
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
                self.shared.resume();
            }
            Err(error) => {
                tracing::debug!(%error, "the data file cannot be opened anew yet");
                self.shared.stop(error);
                self.watch.next = Instant::now() + self.watch.pause;
                self.watch.pause = ATTEMPT_PAUSE_MAX.min(2 * self.watch.pause);
            }
        }
    }

    /// Opens the file as a restart would, and makes sure that it takes a write.
    fn reopen(&mut self) -> Result<(), StoreError> {
        // From here on nothing reaches the disk through the one in use.
        self.medium
            .give_up()
            .map_err(|error| medium::trouble(&error))?;
        let nowhere = DataDir::nowhere();
        let place = self.place.as_ref().unwrap_or(&nowhere);
        let (database, medium) = self.open_again()?;
        let (epoch, covered, snapshot) = open::read(&database, &medium, place)?;
        let (known, reached) = (self.shared.snapshot().seq, snapshot.seq);
        if !self.is_in_place() || epoch != self.shared.epoch || reached < known {
            self.lose("the data file is not the one that was written to");
            return Err(StoreError::Unwritable(
                "another file is in its place".to_owned(),
            ));
        }
        let mut snapshot = Some(snapshot);
        if reached == known {
            // What was acknowledged is known to be durable.
            snapshot
                .take()
                .into_iter()
                .for_each(|snapshot| self.shared.publish(snapshot));
        }
        // Lets go of the one before. Its pages may be written over from here on, so it reads nothing any more.
        (self.database, self.medium) = (database, medium);
        self.checkpoint = Checkpoint::new(covered, self.checkpoint.overlay_bytes_max());
        self.void_rebuilds();
        self.try_seal()
            .map_err(crate::store::embedded::format::tables::written)?;
        self.sealed = true;
        snapshot
            .into_iter()
            .for_each(|snapshot| self.shared.publish(snapshot));
        self.shared.hub.reached(reached.max(known));
        Ok(())
    }

    fn open_again(&self) -> Result<(redb::Database, Medium), EmbeddedOpenError> {
        match &self.place {
            Some(place) => place.open_again(),
            None => {
                let medium = Medium::storage(self.medium.disk());
                DataDir::nowhere().open_medium(medium.map_err(|error| medium::trouble(&error))?)
            }
        }
    }

    fn is_in_place(&self) -> bool {
        let place = self.place.as_ref();
        place.is_none_or(|place| self.medium.is_at(&place.path()))
    }

    fn lose(&mut self, reason: &str) {
        self.watch.is_lost = true;
        self.stop(StoreError::Unwritable(reason.to_owned()));
        self.shared.fate.fail(reason);
    }
}
