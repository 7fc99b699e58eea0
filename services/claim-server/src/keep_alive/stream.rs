//! One stream: what it reads, what it answers, and how it ends.
//!
//! There is no task and no channel behind it. It moves on when the connection asks it for the next
//! answer, which happens when the client has taken those before. So a client that does not read is
//! not read from either, and what it costs is bounded: some heartbeats under way, and what the
//! windows of HTTP/2 hold. A stream that is dropped, because its client left, leaves nothing behind.

use super::listeners::{Listener, Sending};
use super::push::Push;
use crate::access::{Call, Standing};
use crate::beat::{self, Beats, HEARTBEAT_TIMEOUT};
use crate::calls::deadline::Deadline;
use crate::calls::drain::Stay;
use crate::calls::malformed;
use crate::calls::method::Method;
use crate::calls::span::StreamLog;
use crate::metrics::Metrics;
use crate::quota::{Opened, Quota};
use crate::status;
use crate::subject::checked_part;
use crate::wire::stream::{About, keep_alive, keep_alive_answered};
use claim_proto::v1;
use claims::domain::{ClaimId, TokenDigest};
use claims::store::{ClaimStore, TRACES};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tracing::Instrument;

/// Most heartbeats of one stream without an answer. As many fit into one statement of the store; a
/// client that sends more waits for its answers first.
const UNDER_WAY_MAX: usize = 256;

/// A stream of requests and what became of them so far.
pub(super) struct KeepAlive<R> {
    pub(super) store: ClaimStore,
    pub(super) requests: R,
    pub(super) listener: Listener,
    /// Completes when the herald speaks; nothing is read before, so that nothing is missed.
    pub(super) herald: Option<BoxFuture<'static, ()>>,
    pub(super) stay: Stay,
    pub(super) call: Call,
    pub(super) standing: Standing,
    pub(super) quota: Quota,
    pub(super) _opened: Opened,
    pub(super) deadline: Deadline,
    pub(super) database_away: watch::Receiver<bool>,
    pub(super) under_way: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// How it ends once nothing is under way; nothing is read any more then.
    pub(super) end: Option<Result<(), Status>>,
    pub(super) metrics: Metrics,
    pub(super) log: StreamLog,
}

/// A heartbeat and what the store said of it.
pub(super) struct Answered {
    about: About,
    id: ClaimId,
    sending: Sending,
    token: Option<TokenDigest>,
    answer: beat::Answer,
}

/// What is asked, and what is answered; an error is the end.
type Asked = Result<v1::KeepAliveRequest, Status>;
type Told = Result<v1::KeepAliveResponse, Status>;

impl<R> KeepAlive<R>
where
    R: Stream<Item = Asked> + Unpin,
{
    /// The next answer or push, the status that ends the stream, or its good end.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if self.under_way.is_empty()
                && let Some(end) = self.end.take()
            {
                self.log.ended(end.as_ref().err());
                return end.err().map(Err);
            }
            let is_open = self.end.is_none();
            let may_read = self.under_way.len() < UNDER_WAY_MAX && self.herald.is_none();
            tokio::select! {
                biased;
                // What is under way is not waited for: its client has no time, or it has no answer
                // because of this.
                () = self.deadline.over() => self.end_at_once(status::timed_out()),
                () = is_away(&mut self.database_away) => {
                    self.end_at_once(status::database_unavailable());
                }
                lost = self.standing.lost() => self.end_at_once(lost),
                () = self.stay.over(), if is_open => self.end = Some(Err(status::draining())),
                Some(answered) = self.under_way.next() => {
                    return Some(Ok(self.told(answered)));
                }
                (id, push) = self.listener.push(), if is_open => {
                    // By now the caller may have lost the tenant.
                    if self.call.is_about(&id.tenant) {
                        return Some(Ok(pushed(&id, push)));
                    }
                }
                () = heralded(&mut self.herald), if is_open => self.herald = None,
                request = self.requests.next(), if is_open && may_read => {
                    if let Some(refused) = self.take(request) {
                        return Some(Ok(refused));
                    }
                }
            }
        }
    }

    fn end_at_once(&mut self, status: Status) {
        self.under_way.clear();
        self.end = Some(Err(status));
    }

    /// Puts a request under way; the answer to one that is bad comes at once.
    fn take(&mut self, request: Option<Asked>) -> Option<v1::KeepAliveResponse> {
        let asked = match request {
            Some(Ok(asked)) => asked,
            Some(Err(status)) => {
                self.end = Some(Err(malformed::on_stream(status)));
                return None;
            }
            None => {
                self.end = Some(Ok(()));
                return None;
            }
        };
        let about = About::asked(&asked);
        let heartbeat = checked_part(&self.call, keep_alive(&asked));
        match self.quota.charged(heartbeat) {
            Ok(heartbeat) => {
                self.log.is_about(&heartbeat.id.tenant);
                let sending = self.listener.sending(&heartbeat);
                let store = self.store.clone();
                let until = Instant::now() + HEARTBEAT_TIMEOUT;
                // A trace of its own: that of the stream would grow for as long as it lasts.
                let span = tracing::debug_span!(target: TRACES, parent: None, "heartbeat");
                if !span.is_disabled() {
                    span.follows_from(self.log.span());
                }
                let beating = async move {
                    let (id, token) = (heartbeat.id.clone(), heartbeat.token);
                    let answer = beat::one(&store, heartbeat, until).await;
                    Answered { about, id, sending, token, answer }
                };
                self.under_way.push(Box::pin(beating.instrument(span)));
                None
            }
            Err(status) => Some(keep_alive_answered(about, self.beats().refused(&status))),
        }
    }

    fn told(&mut self, answered: Answered) -> v1::KeepAliveResponse {
        let Answered { about, id, sending, token, answer } = answered;
        self.listener.answered(&id, sending, token, &answer);
        keep_alive_answered(about, self.beats().outcome(answer))
    }

    fn beats(&self) -> Beats<'_> {
        Beats { method: Method::KeepAlive, metrics: &self.metrics }
    }
}

fn pushed(id: &ClaimId, push: Push) -> v1::KeepAliveResponse {
    let outcome = match push {
        Push::Stop { lease, .. } => Ok(lease),
        Push::Lost(refusal) => Err(status::told(&status::refused(&refusal))),
    };
    keep_alive_answered(About::pushed(id), outcome)
}

/// Completes when the herald speaks; never, if that is not waited for.
async fn heralded(herald: &mut Option<BoxFuture<'static, ()>>) {
    match herald {
        Some(herald) => herald.await,
        None => std::future::pending().await,
    }
}

/// Completes when the database has been away for too long.
async fn is_away(database_away: &mut watch::Receiver<bool>) {
    if database_away.wait_for(|is_away| *is_away).await.is_err() {
        // Nobody asks the database any more: the server is about to end, and says so by the drain.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
