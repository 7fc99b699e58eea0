//! A client that keeps to the contract, and what becomes of it.

use crate::support::{self, Client, authorize, done, heartbeat, mint};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Between two of its claims.
const PACE: Duration = Duration::from_millis(20);
/// The longest that a call of it may take, on a machine that is busy with an attack: as long as a
/// heartbeat may.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Claims of all of them so far; no two have the same names.
static CLAIMS: AtomicU64 = AtomicU64::new(0);

/// A client that mints, heartbeats, authorizes and ends claims until it is asked how it went.
pub(crate) struct Bystander {
    stop: oneshot::Sender<()>,
    served: JoinHandle<Served>,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) calls: u32,
    pub(crate) slowest: Duration,
}

impl Bystander {
    /// Begins with a connection of its own.
    pub(crate) async fn begin(server: SocketAddr) -> Self {
        let client = support::client(server).await;
        let (stop, stopped) = oneshot::channel();
        Self { stop, served: tokio::spawn(live(client, stopped)) }
    }

    /// Panics if a call failed, or took too long.
    pub(crate) async fn end(self) -> Served {
        // It listens until then, unless it has failed.
        let _ = self.stop.send(());
        match self.served.await {
            Ok(served) => served,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

async fn live(mut client: Client, mut stopped: oneshot::Receiver<()>) -> Served {
    let mut served = Served::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At least one claim, however short it is.
    loop {
        pace.tick().await;
        let number = CLAIMS.fetch_add(1, Ordering::Relaxed);
        let (entity, consumer) = (format!("/bystander/{number}"), format!("w_{number}"));
        let minted = served.call("mint", client.mint(mint(&entity, &consumer))).await.into_inner();
        served.call("heartbeat", client.heartbeat(heartbeat(&consumer, 1))).await;
        served.call("authorization", authorize(&mut client, &minted)).await;
        served.call("done", client.done(done(&consumer, 1))).await;
        if stopped.try_recv().is_ok() {
            break;
        }
    }
    served
}

impl Served {
    async fn call<T>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> T {
        let begin = Instant::now();
        let answer = timeout(CALL_MAX, call).await;
        self.calls += 1;
        self.slowest = self.slowest.max(begin.elapsed());
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => panic!("a {what} failed: {status:?}"),
            Err(_) => panic!("a {what} took longer than {CALL_MAX:?}"),
        }
    }
}
