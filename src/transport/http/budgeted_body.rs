//! Bytes of HTTP bodies that hold a share of the node's budget until the kernel has them.

use bytes::Bytes;

use crate::limits;
use crate::node::{Budget, Share};
use crate::protocol::trimmed;

struct BudgetedBody {
    text: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for BudgetedBody {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A piece of a body for which `share` was reserved. A small one gives it back at once.
pub(crate) fn with_share(text: impl Into<Vec<u8>>, mut share: Share) -> Bytes {
    let text = trimmed(text.into());
    if text.len() <= limits::FLUSH_BYTES_MAX {
        return text.into();
    }
    share.shrink_to(text.len());
    Bytes::from_owner(BudgetedBody {
        text,
        _share: share,
    })
}

/// A whole body, if it is small or the budget has a share for it now; otherwise it must be made again later.
pub(crate) fn try_with_share(text: impl Into<Vec<u8>>, budget: &Budget) -> Option<Bytes> {
    let text = text.into();
    match text.len() <= limits::FLUSH_BYTES_MAX {
        true => Some(text.into()),
        false => budget
            .try_reserve(text.len())
            .map(|share| with_share(text, share)),
    }
}
