//! The recording writer: asks the service about each write, as the owner of a stream does, and records
//! what was allowed. It compares no fences: whether the service would have let an older holder write
//! after a newer one is what the record is for.

use crate::ledger::Ledger;
use crate::log::{Kind, Log, Moment};
use anyhow::Result;
use claim_client::v1;
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

/// Longer than any server is stopped in a rehearsal: what it says when it goes on is recorded too.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that takes longer is made anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a peer that owes an answer is asked whether it lives, and how long it may take. A server
/// that is only stopped has to be able to come back within it.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`PING_INTERVAL`].
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// Writes that may wait for one server: more would say nothing new, and one that is stopped must not
/// take the room of the others.
const OPEN_MAX: usize = 64;

/// How a write was answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Allowed,
    /// By that reason.
    Refused(String),
    /// Nobody said anything, or not about the claim.
    Unknown,
}

/// Asks the servers in turn, each write once.
#[derive(Debug)]
pub(crate) struct Writer {
    servers: Vec<Server>,
    next: AtomicUsize,
    log: Arc<Log>,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Server {
    wire: ClaimServiceClient<Channel>,
    open: Semaphore,
}

impl Writer {
    /// Must be called within the runtime that is to carry the connections.
    pub(crate) fn new(addresses: &[String], log: Arc<Log>, ledger: Arc<Ledger>) -> Result<Self> {
        let server = |address: &String| {
            let endpoint = Endpoint::from_shared(address.clone())?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT);
            let wire = ClaimServiceClient::new(endpoint.connect_lazy());
            Ok(Server { wire, open: Semaphore::new(OPEN_MAX) })
        };
        let servers = addresses.iter().map(server).collect::<Result<_>>()?;
        Ok(Self { servers, next: AtomicUsize::new(0), log, ledger })
    }

    /// Asks whether that claim's holder may write to its stream now.
    pub(crate) async fn write(&self, claim: &v1::Claim, token: &str) -> Answer {
        let server = &self.servers[self.next.fetch_add(1, Ordering::Relaxed) % self.servers.len()];
        let Ok(_open) = server.open.try_acquire() else { return Answer::Unknown };
        let ask = v1::AuthorizeWriteRequest {
            tenant_id: claim.tenant_id.clone(),
            stream_path: claim.stream_path.clone(),
            write_token: token.to_owned(),
        };
        let asked = Moment::now();
        let mut wire = server.wire.clone();
        let Ok(answer) = timeout(PATIENCE, wire.authorize_write(ask)).await else {
            return Answer::Unknown;
        };
        match answer {
            Ok(answer) => {
                let fence = answer.into_inner().fence;
                if fence != claim.fence {
                    let (entity, own) = (&claim.entity_url, claim.fence);
                    self.ledger.violated(format!(
                        "{entity}: the token of fence {own} writes with fence {fence}"
                    ));
                }
                self.ledger.wrote(self.log.answered(Kind::Write, claim, asked));
                Answer::Allowed
            }
            Err(status) => match status.get_error_details().error_info() {
                Some(info) if is_about_the_claim(&info.reason) => {
                    self.ledger.write_refused();
                    Answer::Refused(info.reason.clone())
                }
                _ => Answer::Unknown,
            },
        }
    }
}

/// Not about the state of the service.
fn is_about_the_claim(reason: &str) -> bool {
    matches!(reason, "WRITE_TOKEN_INVALID" | "LEASE_LAPSED")
}
