//! A change on its way to sessions, and what has been encoded of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::domain::Change;
use crate::domain::VisibleKind;
use crate::protocol;
use crate::protocol::Frame;
use crate::query::Fields;

/// A change, encoded once for each way it is told, by the first who needs it.
#[derive(Debug)]
pub(super) struct SharedChange {
    pub(super) change: Arc<Change>,
    /// When this node had it from the store.
    pub(super) heard: Instant,
    /// As everyone hears it who sees every event and all of its fields.
    plain: OnceLock<Frame>,
    /// Told otherwise, as long as they fit into the weight that is reserved for them.
    others: Mutex<Vec<(Shape, Frame)>>,
}

/// How a change is told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    seen: VisibleKind,
    fields: Arc<Fields>,
}

impl SharedChange {
    pub(super) fn new(change: Arc<Change>) -> Self {
        Self {
            change,
            heard: Instant::now(),
            plain: OnceLock::new(),
            others: Mutex::new(Vec::new()),
        }
    }

    /// Bytes it may come to take: the change, its frame, and as much again for other frames.
    pub(super) fn weight(&self) -> usize {
        3 * self.change.weight()
    }

    /// As the session's default feed hears it.
    pub(super) fn plain(&self) -> Frame {
        let encode = || {
            let seen = VisibleKind::plainly(&self.change);
            protocol::change(&self.change, seen, &Fields::all())
        };
        self.plain.get_or_init(encode).clone()
    }

    /// As those hear it to whom it is `seen`.
    pub(super) fn frame(&self, seen: VisibleKind, fields: &Arc<Fields>) -> Frame {
        let nothing_to_cut = fields.is_all() || !seen.shows_event();
        if nothing_to_cut && seen == VisibleKind::plainly(&self.change) {
            return self.plain();
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let known = others.iter().find(|(shape, _)| shape.is(seen, fields));
        if let Some((_, frame)) = known {
            return frame.clone();
        }
        let frame = protocol::change(&self.change, seen, fields);
        let kept: usize = others.iter().map(|(_, frame)| frame.len()).sum();
        if kept + frame.len() <= self.change.weight() {
            let fields = Arc::clone(fields);
            others.push((Shape { seen, fields }, frame.clone()));
        }
        frame
    }
}

impl Shape {
    fn is(&self, seen: VisibleKind, fields: &Arc<Fields>) -> bool {
        self.seen == seen && (Arc::ptr_eq(&self.fields, fields) || self.fields == *fields)
    }
}
