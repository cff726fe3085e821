//! Subscriptions: to changes, from a position or a snapshot on; and to live lists.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Node;
use crate::domain::Seq;
use crate::fairness::Requester;
use crate::feed::{ListRead, ListSource, SnapshotPermit, Start, Subscription};
use crate::limits;
use crate::protocol::{Code, Failure, Fetch, LiveList, Mode, Subscribe};
use crate::query::Query;
use crate::store::{Epoch, QueryResult};

/// Reads live lists of a node, in the turns of who began them.
#[derive(Debug)]
struct ListsOfNode {
    node: Node,
    requester: Requester,
}

impl Node {
    /// The subscription that a SUBSCRIBE asks for; `wakeup` is notified when there may be more of it. With it why the
    /// position that it named is not one of this log, if so: then it begins as if it had named none.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub(super) async fn subscribe(
        &self,
        requester: &Requester,
        subscribe: &Subscribe,
        wakeup: &Arc<Notify>,
    ) -> Result<(Subscription, Option<&'static str>), Failure> {
        let filter = self.hold_filter(requester, &subscribe.filter)?;
        self.wait_for_seq(subscribe.min_seq).await?;
        let epoch = subscribe.epoch.map(Epoch);
        let stale = self.stale_reason(subscribe.after, epoch).await?;
        let after = subscribe.after.filter(|_| stale.is_none());
        let mut subscription = match &subscribe.list {
            Some(list) => self.read_list(requester, subscribe, list, wakeup).await?,
            None => {
                self.read_changes(requester, subscribe, after, wakeup)
                    .await?
            }
        };
        subscription.hold(filter);
        Ok((subscription, stale))
    }

    async fn read_changes(
        &self,
        requester: &Requester,
        subscribe: &Subscribe,
        after: Option<Seq>,
        wakeup: &Arc<Notify>,
    ) -> Result<Subscription, Failure> {
        let start = match (after, subscribe.mode) {
            (Some(after), Mode::All) => Start::After(after),
            (Some(after), Mode::Latest) => {
                Start::Latest(after, self.snapshot_permit(requester).await?)
            }
            (None, _) if subscribe.snapshot => self.snapshot(requester, subscribe).await?,
            (None, _) => Start::Now,
        };
        let (filter, fields) = (&subscribe.filter, &subscribe.fields);
        let feed = &self.parts.feed;
        let changes = feed.read_changes(requester, filter, fields, start, wakeup);
        Ok(Subscription::Changes(Box::new(changes)))
    }

    async fn read_list(
        &self,
        requester: &Requester,
        subscribe: &Subscribe,
        list: &LiveList,
        wakeup: &Arc<Notify>,
    ) -> Result<Subscription, Failure> {
        let query = Arc::new(Query {
            filter: (*subscribe.filter).clone(),
            sort: (*list.sort).clone(),
            limit: Some(list.limit),
            counts: list.counts,
            ..Query::everything()
        });
        let source = ListsOfNode {
            node: self.clone(),
            requester: requester.clone(),
        };
        let reading = self.parts.feed.read_list(
            requester,
            &query,
            &subscribe.fields,
            Box::new(source),
            subscribe.min_seq,
            wakeup,
        );
        Ok(Subscription::List(Box::new(reading.await?)))
    }

    /// A permit to begin a subscription with a snapshot, or in mode `latest`.
    async fn snapshot_permit(&self, requester: &Requester) -> Result<SnapshotPermit, Failure> {
        let acquiring = self.parts.feed.snapshot_permit(requester);
        let permit = timeout(limits::SNAPSHOT_PERMIT_DEADLINE, acquiring).await;
        let message = "too many subscriptions begin with a snapshot at once";
        permit.map_err(|_| Failure::new(Code::Busy, message))
    }

    /// The snapshot that a subscription begins with, which holds the filter.
    async fn snapshot(
        &self,
        requester: &Requester,
        subscribe: &Subscribe,
    ) -> Result<Start, Failure> {
        let permit = self.snapshot_permit(requester).await?;
        let query = Query {
            filter: (*subscribe.filter).clone(),
            ..Query::everything()
        };
        let fetch = Fetch {
            min_seq: subscribe.min_seq,
            ..Fetch::now(query)
        };
        let result = self.find_held(requester, &fetch).await?;
        Ok(Start::Snapshot(result, permit))
    }
}

impl ListSource for ListsOfNode {
    fn read(&self, query: Query) -> BoxFuture<'static, Result<ListRead, Failure>> {
        let (node, requester) = (self.node.clone(), self.requester.clone());
        async move {
            let _scan = node.scan_permit(&requester, &query).await?;
            let _read = node.read_permit(&requester).await?;
            let reading = node.first_events(&requester, query);
            node.with_deadline(reading).await
        }
        .boxed()
    }
}

impl Node {
    /// The first events of a query, and whether there are no others.
    async fn first_events(&self, requester: &Requester, query: Query) -> Result<ListRead, Failure> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let QueryResult {
            seq,
            count,
            mut events,
            ..
        } = self.find_held(requester, &Fetch::now(query)).await?;
        let (mut first, mut bytes, mut is_whole) = (Vec::new(), 0, true);
        while let Some(event) = events.next().await.transpose()? {
            if first.len() == limit || bytes > limits::LIST_BYTES_MAX {
                is_whole = false;
                break;
            }
            bytes += event.approx_bytes();
            first.push(event);
        }
        Ok(ListRead {
            seq,
            events: first,
            is_whole,
            count,
        })
    }
}
