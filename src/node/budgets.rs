//! What a node may hold for its clients, in bytes.

use super::Node;
use super::page::PAGE_BYTES;
use crate::budget::{Budget, Share};
use crate::limits;

impl Node {
    /// The budget of answers: what is read or made for clients and not yet with them.
    pub fn budget(&self) -> &Budget {
        &self.parts.budget
    }

    /// The budget of frames of subscriptions.
    pub fn subscription_budget(&self) -> &Budget {
        &self.parts.subscription_budget
    }

    /// The budget of requests that are not yet whole.
    pub fn receive_budget(&self) -> &Budget {
        &self.parts.receive_budget
    }

    /// Whether a budget that answers or frames wait for is used up.
    pub fn is_under_pressure(&self) -> bool {
        self.parts.budget.is_out() || self.parts.subscription_budget.is_out()
    }

    /// Room to go on waiting for a stalled client to which so many bytes are to be sent; `holds_share` if others of them
    /// hold a share of a budget. `None` if others need the room: then the client is to be given up.
    pub fn reserve_for_stalled(&self, bytes: usize, holds_share: bool) -> Option<Share> {
        if holds_share && self.is_under_pressure() {
            return None;
        }
        let bytes = bytes.saturating_sub(limits::SESSION_FREE_BYTES);
        self.parts.stalled_budget.try_reserve(bytes)
    }

    /// A share for a FETCH that is read before earlier answers are sent.
    pub fn reserve_ahead(&self) -> Option<Share> {
        self.parts.budget.try_reserve_ahead(PAGE_BYTES)
    }
}
