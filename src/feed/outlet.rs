//! Where a reader of changes puts what it reads.

use super::notice::Notice;
use super::shared_change::SharedChange;
use crate::domain::VisibleKind;
use crate::query::Fields;
use std::sync::Arc;

/// Takes changes, and what is said between them, in their order.
pub(super) trait Outlet {
    /// A change that is told as this; returns how many bytes it takes.
    fn change(&mut self, entry: &SharedChange, seen: VisibleKind, fields: &Arc<Fields>) -> usize;

    /// What is no single change of the log.
    fn notice(&mut self, notice: Notice);
}

/// Encodes changes for a client.
pub(super) struct Frames<F>(pub(super) F);

impl<F: FnMut(Notice)> Outlet for Frames<F> {
    fn change(&mut self, entry: &SharedChange, seen: VisibleKind, fields: &Arc<Fields>) -> usize {
        let frame = entry.frame(seen, fields);
        let bytes = frame.len();
        (self.0)(Notice::change(entry, frame));
        bytes
    }

    fn notice(&mut self, notice: Notice) {
        (self.0)(notice);
    }
}
