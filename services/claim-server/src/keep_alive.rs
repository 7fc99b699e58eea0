//! `KeepAlive`: the heartbeats of many claims over one stream that lasts.
//!
//! * [`stream`] is one of them: it answers heartbeats as the store answers them, in any order, and
//!   tells what a holder should know without asking.
//! * [`listeners`] knows which stream cares for which claim, and keeps what it has not told yet.
//! * [`herald`] follows the events of the service and tells the listeners. There is one for the
//!   server, however many streams there are, and it rests while there are none ([`attention`]).
//! * [`push`] is what it has to say of a claim.
//!
//! A push is a courtesy: the next heartbeat of the claim tells the same. So what cannot be pushed,
//! because the claim could not be read, is not tried again.
//!
//! A stream ends with its client or its client's deadline; with UNAVAILABLE when the server drains,
//! or when heartbeats have not reached the database for 2 s, so that its holders can reach another
//! server; with UNAUTHENTICATED when the credentials of its caller end; and with INVALID_ARGUMENT after
//! bytes that are no message. Never because of a heartbeat: one that its caller may not send is refused
//! by itself.

mod attention;
mod herald;
mod listeners;
mod push;
mod stream;

use crate::access::Call;
use crate::calls::deadline::Deadline;
use crate::calls::drain::Drain;
use crate::calls::method::Method;
use crate::calls::span::StreamLog;
use crate::metrics::Metrics;
use crate::quota::Quota;
use claim_proto::v1;
use claims::store::ClaimStore;
use futures_util::stream::{BoxStream, FuturesUnordered, unfold};
use futures_util::{FutureExt, StreamExt};
use listeners::{Listener, Listeners};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use stream::KeepAlive;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::{Status, Streaming};
use tracing::Instrument;

/// From a herald that failed to the next one.
const HERALD_PAUSE: Duration = Duration::from_secs(1);

/// What goes back on a stream.
pub(crate) type Answers = BoxStream<'static, Result<v1::KeepAliveResponse, Status>>;

/// The streams of this server.
pub(crate) struct KeepAlives {
    store: ClaimStore,
    listeners: Arc<Listeners>,
    drain: Drain,
    database_away: watch::Receiver<bool>,
    metrics: Metrics,
}

impl KeepAlives {
    /// None yet. They end when `drain` begins, or when `database_away` says so.
    pub(crate) fn new(
        store: ClaimStore,
        drain: Drain,
        database_away: watch::Receiver<bool>,
        metrics: &Metrics,
    ) -> Self {
        let metrics = metrics.clone();
        Self { store, listeners: Arc::default(), drain, database_away, metrics }
    }

    /// Tells the streams what happens to their claims, until it is dropped.
    pub(crate) fn herald(&self) -> impl Future<Output = ()> + Send + 'static {
        let (store, listeners) = (self.store.clone(), self.listeners.clone());
        async move {
            loop {
                // A panic is a bug; it must not leave the streams without a herald.
                let run = AssertUnwindSafe(herald::run(&store, &listeners));
                if run.catch_unwind().await.is_err() {
                    tracing::error!("the herald of the streams failed and begins anew");
                    sleep(HERALD_PAUSE).await;
                }
            }
        }
    }

    /// Opens one, if its caller may have another.
    pub(crate) fn open(
        &self,
        requests: Streaming<v1::KeepAliveRequest>,
        call: Call,
        quota: Quota,
        deadline: Deadline,
    ) -> Result<Answers, Status> {
        let opened = quota.open_stream()?;
        let listeners = self.listeners.clone();
        let is_away = *self.database_away.borrow();
        let herald = (!is_away).then(|| async move { listeners.attention.paid().await }.boxed());
        let stream = KeepAlive {
            store: self.store.clone(),
            requests,
            listener: Listener::among(&self.listeners),
            stay: self.drain.stay(),
            standing: call.standing(None),
            call,
            quota,
            _opened: opened,
            deadline,
            database_away: self.database_away.clone(),
            under_way: FuturesUnordered::new(),
            end: None,
            herald,
            metrics: self.metrics.clone(),
            log: StreamLog::of("KeepAlive", Method::KeepAlive, &self.metrics),
        };
        // Boxed once, so that it is not copied from answer to answer.
        let answers = unfold(Some(Box::new(stream)), |stream| async move {
            let mut stream = stream?;
            let span = stream.log.span();
            let item = stream.next().instrument(span).await?;
            if item.is_ok() {
                stream.log.answered();
            }
            let rest = item.is_ok().then_some(stream);
            Some((item, rest))
        });
        Ok(answers.boxed())
    }
}
