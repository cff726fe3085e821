//! Bytes of HTTP bodies that hold a share of the node's budget until the kernel has them.

use bytes::Bytes;

use crate::limits;
use crate::node::{Budget, Share};
use crate::protocol::trimmed;

struct HeldBody {
    text: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A piece of a body for which `share` was reserved. A small one holds nothing.
pub(crate) fn held(text: impl Into<Vec<u8>>, mut share: Share) -> Bytes {
    let text = trimmed(text.into());
    if text.len() <= limits::FLUSH_BYTES_MAX {
        return text.into();
    }
    share.shrink_to(text.len());
    Bytes::from_owner(HeldBody {
        text,
        _share: share,
    })
}

/// A whole body, if there is room for it now; otherwise it must be made again later.
pub(crate) fn held_at_once(text: impl Into<Vec<u8>>, budget: &Budget) -> Option<Bytes> {
    let text = text.into();
    match text.len() <= limits::FLUSH_BYTES_MAX {
        true => Some(text.into()),
        false => budget
            .try_reserve(text.len())
            .map(|share| held(text, share)),
    }
}
