//! Lanes: natural batching of concurrent calls.
//!
//! A call joins a bounded queue and waits for its answer. A lane is a task that owns one
//! connection; whenever it is free it takes all calls that wait, up to a bound, serves them
//! together, and answers each. There is no timer: an idle service serves a single call at once, a
//! busy one shares its commits. Nor can database work die half-way with its caller, since the
//! caller's future owns none of it.
//!
//! Tenants take turns in a queue, by their [`Weights`], so that one with many calls does not keep another
//! from being heard ([`fair`]).
//!
//! A queue that its lanes cannot keep empty *stands*; then new claims are refused long before the
//! queue is full, while those that are held can still be kept and ended ([`standing`]).
//!
//! A lane without a connection takes no calls: it connects when it sees that one waits, and leaves
//! the calls in the queue meanwhile, where its connected siblings find them. Only when it cannot
//! connect and there are no such siblings, it tells those that wait.
//!
//! A caller that left, because it gave up or its deadline passed, has dropped its end of the
//! answer's channel; its call is dropped unexecuted when its turn comes. So is one whose [`deadline`]
//! has passed, whether its caller knows yet or not.

mod deadline;
mod fair;
mod queue;
mod session;
mod standing;
mod weights;

use super::connect::{ConnectError, Database};
use super::metrics::real;
use super::trace;
use diesel_async::AsyncPgConnection;
use session::RECONNECT_PAUSE;
use tracing::Instrument;

pub use deadline::until;
pub(crate) use queue::{Call, OfTenant, Queue, Waiting, WayBack};
pub(crate) use session::Session;
pub use weights::Weights;

/// What the lanes of one kind do with a batch.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// What is asked.
    type Ask: OfTenant + Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Names the kind in logs and in the session's application name.
    const KIND: &'static str;
    /// Most calls of one batch.
    fn batch_max(&self) -> usize;

    /// Runs its statements once on each new connection, before any batch; by [`warmed`](super::connect::warmed),
    /// which bounds their time.
    fn warm(
        &self,
        connection: &AsyncPgConnection,
    ) -> impl Future<Output = Result<(), ConnectError>> + Send;

    /// Serves a batch: answers every call, or passes it on.
    fn serve(
        &self,
        session: &mut Session,
        batch: Vec<Call<Self::Ask, Self::Answer>>,
    ) -> impl Future<Output = ()> + Send;
}

/// Starts `count` lanes of one kind on `waiting`. They end when every [`Queue`] to them is gone.
pub(crate) fn start<S: Service>(
    service: &S,
    waiting: &Waiting<S::Ask, S::Answer>,
    database: &Database,
    program: &str,
    count: usize,
) {
    for _ in 0..count {
        let (service, waiting, database) = (service.clone(), waiting.clone(), database.clone());
        let application_name = format!("{program}/{}", S::KIND);
        tokio::spawn(async move {
            // A panic is a bug; it must not take the lane with it.
            loop {
                let (database, name) = (database.clone(), application_name.clone());
                let session =
                    Session::new(database, name, waiting.connected().clone(), waiting.metrics());
                let lane = tokio::spawn(run(service.clone(), waiting.clone(), session));
                match lane.await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::error!(lane = S::KIND, %error, "{} lane failed", S::KIND);
                    }
                }
            }
        });
    }
}

async fn run<S: Service>(service: S, waiting: Waiting<S::Ask, S::Answer>, mut session: Session) {
    loop {
        if !session.is_connected() && !connect(&service, &waiting, &mut session).await {
            return;
        }
        let mut batch = waiting.take(service.batch_max()).await;
        if batch.is_empty() {
            return;
        }
        batch = batch.into_iter().filter_map(Call::wanted).collect();
        if !batch.is_empty() {
            waiting.metrics().batch_size.observe(real(batch.len()));
            let span = trace::batch(S::KIND, &batch);
            service.serve(&mut session, batch).instrument(span).await;
            session.rest();
        }
    }
}

/// Connects a lane as soon as a call waits, however often it takes; false if none will come.
async fn connect<S: Service>(
    service: &S,
    waiting: &Waiting<S::Ask, S::Answer>,
    session: &mut Session,
) -> bool {
    let _turn = waiting.turn().await;
    while waiting.arrival().await {
        if session.connect(service).await.is_ok() {
            return true;
        }
        waiting.refuse_if_none_is_connected();
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
    false
}
