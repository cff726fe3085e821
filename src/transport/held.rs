//! Bytes of HTTP bodies that hold a share of the node's budget until the kernel has them.

use bytes::Bytes;

use crate::budget::Share;
use crate::limits;

struct Held {
    text: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A piece of a body for which `share` was reserved. A small one holds nothing.
pub(super) fn held(text: impl Into<Vec<u8>>, mut share: Share) -> Bytes {
    let text: Vec<u8> = text.into();
    if text.len() <= limits::FLUSH_BYTES_MAX {
        return text.into();
    }
    share.shrink_to(text.len());
    Bytes::from_owner(Held {
        text,
        _share: share,
    })
}
