//! `WatchClaimEvents`: the events of a tenant as they happen, as the store gives them.
//!
//! There is no task and no channel behind a watch: it moves on when the connection asks for the next
//! item, which happens when the client has taken those before. So a client that does not read costs
//! no more than one page of events and what the windows of HTTP/2 hold, for as long as it likes, and is
//! told that it was too slow when it reads again.
//!
//! A watch ends with its client or with its client's deadline; when the credentials of its caller or
//! its permission end; with UNAVAILABLE when the server
//! drains, or when the database has been away for 2 s; and for the reasons of the contract that its
//! caller can do something about.

use crate::access::{Call, Standing};
use crate::calls::deadline::Deadline;
use crate::calls::drain::{Drain, Stay};
use crate::calls::method::Method;
use crate::calls::span::StreamLog;
use crate::metrics::Metrics;
use crate::quota::{Opened, Quota};
use crate::status;
use crate::wire::events::{self, EventWatch};
use claim_proto::v1;
use claims::store::{Events, Watch};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use tonic::Status;
use tracing::Instrument;

/// What goes back on a watch.
pub(crate) type Items = BoxStream<'static, Result<v1::WatchClaimEventsResponse, Status>>;

/// The watches of this server.
pub(crate) struct Watches {
    events: Events,
    drain: Drain,
    metrics: Metrics,
}

impl Watches {
    /// None yet. They end when `drain` begins.
    pub(crate) fn new(events: Events, drain: Drain, metrics: &Metrics) -> Self {
        Self { events, drain, metrics: metrics.clone() }
    }

    /// Opens one; refused if it cannot begin where it is asked to, or if there are too many.
    pub(crate) async fn open(
        &self,
        asked: EventWatch,
        call: &Call,
        quota: &Quota,
        deadline: Deadline,
    ) -> Result<Items, Status> {
        let stay = self.drain.stay();
        let standing = call.standing(Some(&asked.filter.tenant));
        let opened = quota.open_watch(&asked.filter.tenant)?;
        let begun = self.events.watch(asked.filter, asked.from);
        let watch = tokio::select! {
            biased;
            () = deadline.over() => return Err(status::timed_out()),
            begun = begun => begun.map_err(status::of_watch)?,
        };
        // Boxed once, so that it is not copied from item to item.
        let running = Box::new(Running {
            watch,
            stay,
            standing,
            _opened: opened,
            deadline,
            log: StreamLog::of("WatchClaimEvents", Method::WatchClaimEvents, &self.metrics),
        });
        let items = unfold(Some(running), |running| async move {
            let mut running = running?;
            let span = running.log.span();
            let item = running.next().instrument(span).await;
            match &item {
                Ok(_) => running.log.answered(),
                Err(status) => running.log.ended(Some(status)),
            }
            let rest = item.is_ok().then_some(running);
            Some((item, rest))
        });
        Ok(items.boxed())
    }
}

/// A watch that has begun.
struct Running {
    watch: Watch,
    stay: Stay,
    standing: Standing,
    _opened: Opened,
    deadline: Deadline,
    log: StreamLog,
}

impl Running {
    /// The next item, or the status that ends the watch.
    async fn next(&mut self) -> Result<v1::WatchClaimEventsResponse, Status> {
        tokio::select! {
            biased;
            () = self.stay.over() => Err(status::draining()),
            () = self.deadline.over() => Err(status::timed_out()),
            lost = self.standing.lost() => Err(lost),
            item = self.watch.next() => {
                item.map(|item| events::item(&item)).map_err(status::of_watch)
            }
        }
    }
}
