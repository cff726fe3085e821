//! A change on its way to sessions, with its encoded frames. All sessions share both.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::domain::Change;
use crate::domain::VisibleKind;
use crate::protocol;
use crate::protocol::Frame;
use crate::query::Fields;

/// A change and its frames: the first session that needs a frame encodes it for all.
#[derive(Debug)]
pub(super) struct SharedChange {
    pub(super) change: Arc<Change>,
    /// When this node received it from the store.
    pub(super) arrived: Instant,
    /// The frame of a session's default feed: every event, with all of its fields.
    plain: OnceLock<Frame>,
    /// Frames of other shapes, as long as they fit into the bytes that are reserved for them.
    variants: Mutex<Vec<(Shape, Frame)>>,
}

/// What a frame shows of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    seen: VisibleKind,
    fields: Arc<Fields>,
}

impl SharedChange {
    pub(super) fn new(change: Arc<Change>) -> Self {
        Self {
            change,
            arrived: Instant::now(),
            plain: OnceLock::new(),
            variants: Mutex::new(Vec::new()),
        }
    }

    /// The most that it takes in memory: the change, its plain frame, and as much again for other frames.
    pub(super) fn bytes_max(&self) -> usize {
        3 * self.change.approx_bytes()
    }

    /// The frame of a session's default feed.
    pub(super) fn plain(&self) -> Frame {
        let encode = || {
            let seen = VisibleKind::unfiltered(&self.change);
            protocol::change(&self.change, seen, &Fields::all())
        };
        self.plain.get_or_init(encode).clone()
    }

    /// The frame for filters to which the change is `seen`.
    pub(super) fn frame(&self, seen: VisibleKind, fields: &Arc<Fields>) -> Frame {
        let has_author = fields.has_authors() || self.change.author.is_none();
        let shows_all = has_author && (fields.is_all() || !seen.shows_event());
        if shows_all && seen == VisibleKind::unfiltered(&self.change) {
            return self.plain();
        }
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = variants.iter().find(|(shape, _)| shape.is(seen, fields));
        if let Some((_, frame)) = cached {
            return frame.clone();
        }
        let frame = protocol::change(&self.change, seen, fields);
        let cached_bytes: usize = variants.iter().map(|(_, frame)| frame.len()).sum();
        if cached_bytes + frame.len() <= self.change.approx_bytes() {
            let fields = Arc::clone(fields);
            variants.push((Shape { seen, fields }, frame.clone()));
        }
        frame
    }
}

impl Shape {
    fn is(&self, seen: VisibleKind, fields: &Arc<Fields>) -> bool {
        self.seen == seen && (Arc::ptr_eq(&self.fields, fields) || self.fields == *fields)
    }
}
