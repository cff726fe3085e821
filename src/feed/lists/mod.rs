//! Live lists: the first events of an order, and how many there are, kept up for all who ask for the same.
//!
//! ```text
//! ListSource -> keeper <- FilterReader      reads the list; takes in every change that its filter sees
//!                 |
//!            SharedList                     what it shows, and its latest changes, encoded once
//!             /   |   \
//!         ListReader …                      one for each subscription: the list, then its changes
//! ```
//!
//! A list is known by its filter, order, number and whether it counts; the fields are each reader's own. It is kept as long
//! as somebody reads it. A reader that falls behind the changes that are kept gets the whole list anew, so a slow client
//! costs nothing.

mod keeper;
mod list_change;
mod list_seat;
mod reader;
mod shared_list;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::Feed;
use super::snapshot::SubscriptionError;
use crate::budget::Budget;
use crate::domain::{Event, Ranking, Seq};
use crate::fairness::Requester;
use crate::limits;
use crate::protocol::Failure;
use crate::query::{Count, Query, Sort};
use keeper::Keeper;
use list_seat::ListSeat;
pub use reader::ListReader;
use shared_list::SharedList;

/// What a list shows, read from the store.
#[derive(Debug)]
pub struct ListRead {
    /// What it is as of.
    pub seq: Seq,
    /// The first events of the order.
    pub events: Vec<Event>,
    /// Whether there are no others.
    pub is_whole: bool,
    /// How many events match, if the query counts them.
    pub count: Option<Count>,
}

/// Reads a list from the store.
pub trait ListSource: fmt::Debug + Send + Sync + 'static {
    /// The first events of the query's limit, fewer if they take more than [`limits::LIST_BYTES_MAX`]; and how many match, if it
    /// counts. Reflects every change that was durable when the call began.
    fn read(&self, query: Query) -> BoxFuture<'static, Result<ListRead, Failure>>;
}

/// The live lists of a node.
#[derive(Debug)]
pub(super) struct Lists {
    kept: Mutex<HashMap<ListKey, KeptList>>,
    budget: Budget,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ListKey {
    filter: [u8; 32],
    sort: Sort,
    limit: usize,
    counts: bool,
}

#[derive(Debug)]
struct KeptList {
    list: Arc<SharedList>,
    readers: usize,
    /// Ends with the last reader.
    _keeper: AbortOnDropHandle<()>,
}

/// A reader's place at a list. The list is kept while somebody has one.
#[derive(Debug)]
pub(super) struct ListMembership {
    lists: Arc<Lists>,
    key: ListKey,
    list: Arc<SharedList>,
    seat: Arc<ListSeat>,
}

impl Lists {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            budget: Budget::new(limits::LISTS_BYTES_MAX),
        })
    }

    /// The number of readers, and of lists.
    pub(super) fn counts(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.values().map(|kept| kept.readers).sum(), kept.len())
    }

    /// Takes a place at the list of this query, which `source` reads and `requester` begins if nobody has yet.
    pub(super) fn join(
        self: &Arc<Self>,
        feed: &Feed,
        requester: &Requester,
        query: &Arc<Query>,
        source: Box<dyn ListSource>,
        wakeup: &Arc<Notify>,
    ) -> ListMembership {
        let shown = query.limit.unwrap_or(limits::LIST_COUNT_MAX);
        let key = ListKey {
            filter: query.filter.digest(),
            sort: query.sort.clone(),
            limit: shown,
            counts: query.counts,
        };
        let mut kept = self.kept();
        // One that has ended is there until its last reader has heard so, which may take nothing for a while.
        if kept
            .get(&key)
            .is_some_and(|kept| kept.list.ended().is_some())
        {
            kept.remove(&key);
        }
        let entry = kept.entry(key.clone()).or_insert_with(|| {
            let ranking = Ranking::new(query, shown);
            let list = SharedList::new(ranking, &self.budget);
            let keeper = Keeper::new(&list, feed, requester, query, source);
            KeptList {
                list,
                readers: 0,
                _keeper: AbortOnDropHandle::new(tokio::spawn(keeper.run())),
            }
        });
        entry.readers += 1;
        let seat = entry.list.seat(wakeup);
        ListMembership {
            lists: Arc::clone(self),
            list: Arc::clone(&entry.list),
            key,
            seat,
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<ListKey, KeptList>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ListMembership {
    fn drop(&mut self) {
        self.list.leave(&self.seat);
        let mut kept = self.lists.kept();
        let same = |entry: &&mut KeptList| Arc::ptr_eq(&entry.list, &self.list);
        let Some(entry) = kept.get_mut(&self.key).filter(same) else {
            return;
        };
        entry.readers -= 1;
        if entry.readers == 0 {
            kept.remove(&self.key);
        }
    }
}
