//! Lanes: natural batching of concurrent calls.
//!
//! A call joins a bounded queue and waits for its answer. A lane is a task that owns one
//! connection; whenever it is free it takes all calls that wait, up to a bound, serves them
//! together, and answers each. There is no timer: an idle service serves a single call at once, a
//! busy one shares its commits. Nor can database work die half-way with its caller, since the
//! caller's future owns none of it.
//!
//! A caller that left, because it gave up or its deadline passed, has dropped its end of the
//! answer's channel; its call is dropped unexecuted when its turn comes.

use super::connect::{ConnectError, Database, ROUND_TRIP_TIMEOUT, round_trip};
use super::error::StoreError;
use crate::chain;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

/// After a failed attempt to connect, how long calls are refused at once before the next attempt.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// From how many uses of a connection on its plans are made anew, at every power of two.
const PLAN_ANEW_FROM: u64 = 16;

/// A call in a queue: what is asked, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call<Ask, Answer> {
    pub(crate) ask: Ask,
    /// How often it has been tried in vain.
    tries: usize,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl<Ask, Answer> Call<Ask, Answer> {
    /// Whether the caller still waits.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Answers the caller, if it still waits.
    pub(crate) fn answer(self, answer: Result<Answer, StoreError>) {
        // A caller that left in the meantime needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// The way into a kind of lane.
#[derive(Debug)]
pub(crate) struct Queue<Ask, Answer> {
    sender: mpsc::Sender<Call<Ask, Answer>>,
}

impl<Ask, Answer> Clone for Queue<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

/// How often one call is tried before its caller is told that the database is unavailable. Each
/// try waits at most the lock timeout of 250 ms, so all of them outlast the second after which
/// Postgres frees the locks of a frozen server.
const TRIES_MAX: usize = 8;

/// The way back into a queue for a call that was tried in vain. It does not keep the queue open.
pub(crate) struct WayBack<Ask, Answer> {
    sender: mpsc::WeakSender<Call<Ask, Answer>>,
}

impl<Ask, Answer> Clone for WayBack<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<Ask, Answer> WayBack<Ask, Answer> {
    /// Puts a call behind those that wait, so that it does not keep them from their turn; after
    /// its last try its caller gets `answer`.
    pub(crate) fn try_again(&self, mut call: Call<Ask, Answer>, answer: StoreError) {
        call.tries += 1;
        match self.sender.upgrade() {
            Some(sender) if call.tries < TRIES_MAX => Queue { sender }.pass_on(call),
            _ => {
                let tries = call.tries;
                tracing::error!(tries, error = %answer, "a call was tried {tries} times in vain");
                call.answer(Err(answer));
            }
        }
    }
}

/// The lanes' end of a queue, shared by the lanes of one kind.
pub(crate) type Waiting<Ask, Answer> = Arc<Mutex<mpsc::Receiver<Call<Ask, Answer>>>>;

impl<Ask, Answer> Queue<Ask, Answer> {
    /// A queue in which at most `bound` calls wait.
    pub(crate) fn bounded(bound: usize) -> (Self, Waiting<Ask, Answer>) {
        let (sender, receiver) = mpsc::channel(bound);
        (Self { sender }, Arc::new(Mutex::new(receiver)))
    }

    /// Joins the queue and waits for the answer.
    pub(crate) async fn call(&self, ask: Ask) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.pass_on(Call { ask, tries: 0, reply });
        // A lane that died without an answer has logged why.
        answer.await.unwrap_or(Err(StoreError::Internal))
    }

    /// The way back for calls that the lanes of this queue try in vain.
    pub(crate) fn way_back(&self) -> WayBack<Ask, Answer> {
        WayBack { sender: self.sender.downgrade() }
    }

    /// Puts a call into this queue, keeping its caller; beyond the bound the caller is refused.
    pub(crate) fn pass_on(&self, call: Call<Ask, Answer>) {
        match self.sender.try_send(call) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(call)) => call.answer(Err(StoreError::Overloaded)),
            Err(mpsc::error::TrySendError::Closed(call)) => {
                call.answer(Err(StoreError::Unavailable));
            }
        }
    }
}

/// What the lanes of one kind do with a batch.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// What is asked.
    type Ask: Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Names the kind in logs and in the session's application name.
    const KIND: &'static str;
    /// Most calls of one batch.
    const BATCH_MAX: usize;

    /// Runs once on each new connection, before any batch.
    fn warm(
        &self,
        connection: &AsyncPgConnection,
    ) -> impl Future<Output = diesel::QueryResult<()>> + Send;

    /// Serves a batch: answers every call, or passes it on.
    fn serve(
        &self,
        session: &mut Session,
        batch: Vec<Call<Self::Ask, Self::Answer>>,
    ) -> impl Future<Output = ()> + Send;
}

/// The one connection of a lane: opened when needed, dropped when it failed.
pub(crate) struct Session {
    database: Database,
    application_name: String,
    connection: Option<AsyncPgConnection>,
    failed_at: Option<Instant>,
    fresh: bool,
    /// How often the connection was asked for.
    uses: u64,
}

impl Session {
    pub(crate) fn new(database: Database, application_name: String) -> Self {
        Self {
            database,
            application_name,
            connection: None,
            failed_at: None,
            fresh: false,
            uses: 0,
        }
    }

    /// The connection, opened and warmed if there is none.
    pub(crate) async fn get<S: Service>(
        &mut self,
        service: &S,
    ) -> Result<&AsyncPgConnection, StoreError> {
        if self.connection.is_none() {
            if self.failed_at.is_some_and(|at| at.elapsed() < RECONNECT_PAUSE) {
                return Err(StoreError::Unavailable);
            }
            match self.open(service).await {
                Ok(connection) => {
                    if self.failed_at.take().is_some() {
                        tracing::info!(lane = S::KIND, "{} lane is connected again", S::KIND);
                    }
                    self.connection = Some(connection);
                    self.fresh = true;
                    self.uses = 0;
                }
                Err(error) => {
                    if self.failed_at.replace(Instant::now()).is_none() {
                        tracing::error!(lane = S::KIND, error = %chain(&error), "{} lane cannot connect", S::KIND);
                    }
                    return Err(StoreError::Unavailable);
                }
            }
        }
        self.plan_anew().await;
        self.connection.as_ref().ok_or(StoreError::Unavailable)
    }

    /// A plan is kept for as long as its connection, and one that was made on empty tables may
    /// choose the wrong index: all of them look alike there. ANALYZE would have it made anew, but
    /// comes a minute late or not at all. So plans are made anew by ourselves while the tables may
    /// have grown, ever more rarely.
    async fn plan_anew(&mut self) {
        self.uses += 1;
        if self.uses < PLAN_ANEW_FROM || !self.uses.is_power_of_two() {
            return;
        }
        if let Some(connection) = &mut self.connection {
            // If the connection has failed, its next user finds out.
            let _ = round_trip(false, connection.batch_execute("DISCARD PLANS")).await;
        }
    }

    async fn open<S: Service>(&self, service: &S) -> Result<AsyncPgConnection, ConnectError> {
        let connection = self.database.connect(&self.application_name).await?;
        let warmed = tokio::time::timeout(ROUND_TRIP_TIMEOUT, service.warm(&connection));
        warmed.await.map_err(|_| ConnectError::TimedOut)?.map_err(ConnectError::Settings)?;
        Ok(connection)
    }

    /// Drops a connection that failed.
    pub(crate) fn discard(&mut self) {
        self.connection = None;
    }

    /// Whether the connection has served nothing yet; tells a database that is away from a
    /// connection that went stale while idle. Asking marks it as used.
    pub(crate) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }
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
        let session = || Session::new(database.clone(), format!("{program}/{}", S::KIND));
        let (service, waiting, make) = (service.clone(), waiting.clone(), session());
        let database = database.clone();
        let program = program.to_owned();
        tokio::spawn(async move {
            let mut session = make;
            // A panic is a bug; it must not take the lane with it.
            loop {
                let lane = tokio::spawn(run(service.clone(), waiting.clone(), session));
                match lane.await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::error!(lane = S::KIND, %error, "{} lane failed", S::KIND);
                        session = Session::new(database.clone(), format!("{program}/{}", S::KIND));
                    }
                }
            }
        });
    }
}

async fn run<S: Service>(service: S, waiting: Waiting<S::Ask, S::Answer>, mut session: Session) {
    loop {
        let mut batch = Vec::with_capacity(S::BATCH_MAX);
        if waiting.lock().await.recv_many(&mut batch, S::BATCH_MAX).await == 0 {
            return;
        }
        batch.retain(Call::is_wanted);
        if !batch.is_empty() {
            service.serve(&mut session, batch).await;
        }
    }
}
