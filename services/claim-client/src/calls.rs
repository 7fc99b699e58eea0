//! Calls with one answer: each has a deadline, and is repeated within it as long as nobody has
//! answered. Every call of the contract is safe to repeat with the same arguments.

use crate::bearer::Bearer;
use crate::error::Error;
use crate::limits::ATTEMPT_TIMEOUT;
use crate::refusal::Refusal;
use crate::retry::{Backoff, chance, may_help_elsewhere};
use crate::servers::Servers;
use crate::verdict::Verdict;
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// A client over one connection, with the token by which servers know it.
pub(crate) type Wire = ClaimServiceClient<InterceptedService<Channel, Bearer>>;

/// An answer, and when the attempt that got it was sent: what the answer promises counts from there.
#[derive(Debug)]
pub(crate) struct Answered<Answer> {
    pub(crate) sent_at: Instant,
    pub(crate) answer: Answer,
}

/// How calls are made. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    servers: Arc<Servers>,
    deadline: Duration,
}

impl Calls {
    /// At those servers, each call within that time.
    pub(crate) fn new(servers: Arc<Servers>, deadline: Duration) -> Self {
        Self { servers, deadline }
    }

    /// Asks until there is an answer, a definite refusal, or no time left. Must run on the thread
    /// that carries the connections.
    pub(crate) async fn call<Ask, Answer, Called>(
        &self,
        ask: Ask,
        call: impl Fn(Wire, Request<Ask>) -> Called,
    ) -> Result<Answered<Answer>, Error>
    where
        Ask: Clone,
        Called: Future<Output = Result<Response<Answer>, Status>>,
    {
        let end = Instant::now() + self.deadline;
        let mut backoff = Backoff::default();
        loop {
            let sent_at = Instant::now();
            let patience = ATTEMPT_TIMEOUT.min(end.saturating_duration_since(sent_at));
            let picked = self.servers.pick();
            let mut request = Request::new(ask.clone());
            // The server gives up too, and tells so.
            request.set_timeout(patience);
            let attempt = call(picked.wire(), request);
            let verdict = match timeout(patience, attempt).await {
                Ok(Ok(answer)) => return Ok(Answered { sent_at, answer: answer.into_inner() }),
                Ok(Err(status)) => Verdict::of(&status),
                Err(_) => Verdict::no_answer(),
            };
            let failure = match verdict {
                // The token was over, and there is the one that has replaced it.
                Verdict::Refused(Refusal::Unauthenticated) if picked.has_another_token() => {
                    continue;
                }
                Verdict::Refused(refusal) => return Err(Error::Refused(refusal)),
                Verdict::Failed(failure) => return Err(Error::Failed(failure)),
                Verdict::Again(failure) => failure,
            };
            if may_help_elsewhere(&failure) {
                self.servers.give_up(&picked);
            }
            let pause = backoff.elsewhere(&failure, self.servers.count(), chance());
            if Instant::now() + pause >= end {
                return Err(Error::Unavailable { attempts: backoff.failures(), last: failure });
            }
            let address = &picked.address;
            tracing::debug!(%address, "no answer from {address} ({failure}); again in {pause:?}");
            sleep(pause).await;
        }
    }
}
