//! Holders of claims as the contract wants them: each mints a claim, heartbeats it, and repeats a
//! call that was not answered, at the other server, until it is.
//!
//! What may be repeated and what is definite is told by the reason alone. A definite refusal of a
//! heartbeat means that the claim is lost.

use super::{Client, done, heartbeat, mint};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{ClaimState, DoneRequest, HeartbeatRequest, MintRequest};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

/// How many servers there are to choose from.
pub(crate) const SERVERS: usize = 2;
/// Longest wait for one answer; the contract allows a heartbeat at most 5 s.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);
/// From a failure to the next attempt, on average; half of it more or less at random. With the
/// deadline it keeps the contract: a heartbeat is sent again within 5 s of having been sent.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Time over which the first mints are spread, and with them all heartbeats.
const SPREAD: Duration = Duration::from_secs(10);
/// Holders on one machine share its connections.
const HOLDERS_OF_A_MACHINE: usize = 10;
/// The reasons after which a call is repeated.
const NOT_DEFINITE: [&str; 4] = ["DATABASE_UNAVAILABLE", "DRAINING", "TIMED_OUT", "OVERLOADED"];

/// Where the servers are, and every machine's connection to each.
pub(crate) struct Directory {
    clients: [RwLock<Vec<Client>>; SERVERS],
    machines: usize,
    /// Calls that were not answered, by what came instead.
    in_vain: Mutex<BTreeMap<String, u32>>,
    /// The longest that a holder took to send a call again.
    slowest: Mutex<Duration>,
}

impl Directory {
    /// Two servers, for that many holders.
    pub(crate) fn of(servers: [SocketAddr; SERVERS], holders: usize) -> Arc<Self> {
        let directory = Self {
            clients: Default::default(),
            machines: holders.div_ceil(HOLDERS_OF_A_MACHINE),
            in_vain: Mutex::default(),
            slowest: Mutex::default(),
        };
        for (number, address) in servers.into_iter().enumerate() {
            directory.announce(number, address);
        }
        Arc::new(directory)
    }

    /// From now on a server is there.
    pub(crate) fn announce(&self, number: usize, address: SocketAddr) {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        let connect = |_| ClaimServiceClient::new(endpoint.connect_lazy());
        *self.clients[number].write().expect("no panic holds it") =
            (0..self.machines).map(connect).collect();
    }

    fn client(&self, server: usize, holder: usize) -> Client {
        let machine = holder % self.machines;
        self.clients[server].read().expect("no panic holds it")[machine].clone()
    }

    fn note_in_vain(&self, what: String, until_sent_again: Duration) {
        *self.in_vain.lock().expect("no panic holds it").entry(what).or_default() += 1;
        let mut slowest = self.slowest.lock().expect("no panic holds it");
        *slowest = until_sent_again.max(*slowest);
    }

    /// The longest that a holder took to send a call again; by contract at most 5 s. All holders are
    /// one process here, and on a machine that starves it they break the contract.
    pub(crate) fn slowest(&self) -> Duration {
        *self.slowest.lock().expect("no panic holds it")
    }

    /// How many calls were not answered, by what came instead.
    pub(crate) fn in_vain(&self) -> BTreeMap<String, u32> {
        self.in_vain.lock().expect("no panic holds it").clone()
    }
}

/// A heartbeat that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) had_lapsed: bool,
}

/// What became of one holder so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Its answered heartbeats, in order.
    pub(crate) heard: Vec<Heard>,
    /// The definite refusal that ended it.
    pub(crate) refusal: Option<String>,
    /// Its done was accepted.
    pub(crate) is_done: bool,
}

impl Record {
    /// The first answered heartbeat since then.
    pub(crate) fn heard_since(&self, since: Instant) -> Option<Heard> {
        self.heard.iter().find(|heard| heard.at >= since).copied()
    }
}

/// Holders who work at the same time.
pub(crate) struct Holders {
    tasks: Vec<JoinHandle<()>>,
    records: Vec<Arc<Mutex<Record>>>,
    finish: CancellationToken,
}

impl Holders {
    /// Starts that many, the consumers `name-0`, `name-1` and so on.
    pub(crate) fn start(name: &str, count: usize, directory: &Arc<Directory>) -> Self {
        let mut holders = Self { tasks: vec![], records: vec![], finish: CancellationToken::new() };
        for number in 0..count {
            let record = Arc::new(Mutex::new(Record::default()));
            let holder = Holder {
                name: format!("{name}-{number}"),
                number,
                server: number % SERVERS,
                directory: directory.clone(),
                record: record.clone(),
            };
            holders.records.push(record);
            holders.tasks.push(tokio::spawn(holder.work(holders.finish.clone())));
        }
        holders
    }

    /// What became of each so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records
            .iter()
            .map(|record| record.lock().expect("no panic holds it").clone())
            .collect()
    }

    /// All of them die: nobody hears of them again.
    pub(crate) fn die(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// All of them finish their work; what became of each.
    pub(crate) async fn finish(mut self) -> Vec<Record> {
        self.finish.cancel();
        for task in self.tasks.drain(..) {
            task.await.expect("a holder that does not panic");
        }
        self.records()
    }
}

/// One holder.
struct Holder {
    name: String,
    number: usize,
    /// The server that it talks to.
    server: usize,
    directory: Arc<Directory>,
    record: Arc<Mutex<Record>>,
}

impl Holder {
    async fn work(mut self, finish: CancellationToken) {
        if let Err(refusal) = self.hold(&finish).await {
            self.note(|record| record.refusal = Some(refusal));
        }
    }

    /// A claim's life as its holder sees it; the definite refusal if there is one.
    async fn hold(&mut self, finish: &CancellationToken) -> Result<(), String> {
        sleep(SPREAD.mul_f64(fastrand::f64())).await;
        let asked = MintRequest {
            request_id: self.name.clone(),
            ..mint(&format!("/held/{}", self.name), &self.name)
        };
        let minted = self.until_answered(asked, async |mut client, asked| client.mint(asked).await);
        let minted = minted.await?;
        let epoch = minted.claim.expect("a claim").epoch;
        let mut pause = interval(minted.heartbeat_interval);
        while finish.run_until_cancelled(sleep(pause)).await.is_some() {
            let asked = HeartbeatRequest {
                write_token: minted.write_token.clone(),
                ..heartbeat(&self.name, epoch)
            };
            let answer =
                self.until_answered(asked, async |mut client, asked| client.heartbeat(asked).await);
            let answer = answer.await?;
            let heard = Heard { at: Instant::now(), had_lapsed: answer.had_lapsed };
            self.note(|record| record.heard.push(heard));
            pause = interval(answer.heartbeat_interval);
        }
        let asked =
            DoneRequest { write_token: minted.write_token.clone(), ..done(&self.name, epoch) };
        let ended = self.until_answered(asked, async |mut client, asked| client.done(asked).await);
        let ended = ended.await?;
        let released = ended.claim.as_ref().is_some_and(|c| c.state() == ClaimState::Released);
        // Also when it had to be repeated, these acks show that this done was the one.
        self.note(|record| record.is_done = released && ended.acks_recorded);
        Ok(())
    }

    fn note(&self, note: impl FnOnce(&mut Record)) {
        note(&mut self.record.lock().expect("no panic holds it"));
    }

    /// Asks the servers in turn until one answers; an error is a definite refusal.
    async fn until_answered<Ask: Clone, Answer>(
        &mut self,
        ask: Ask,
        call: impl AsyncFn(Client, Request<Ask>) -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, String> {
        loop {
            let client = self.directory.client(self.server, self.number);
            let sent = Instant::now();
            let mut request = Request::new(ask.clone());
            request.set_timeout(DEADLINE);
            let instead = match timeout(DEADLINE, call(client, request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => in_vain(&status)?,
                Err(_) => "no answer".to_owned(),
            };
            sleep(TRY_AGAIN.mul_f64(0.5 + fastrand::f64())).await;
            self.directory.note_in_vain(instead, sent.elapsed());
            self.server = (self.server + 1) % SERVERS;
        }
    }
}

/// Why a call is to be repeated; an error if the refusal is definite. A status without an
/// `ErrorInfo` is none of the service's: the call broke on its way.
fn in_vain(status: &Status) -> Result<String, String> {
    match status.get_details_error_info() {
        None => Ok(format!("{:?}", status.code())),
        Some(info) if NOT_DEFINITE.contains(&info.reason.as_str()) => Ok(info.reason),
        Some(info) => Err(format!("{:?} {}: {}", status.code(), info.reason, status.message())),
    }
}

/// The suggested time to the next heartbeat.
fn interval(suggested: Option<prost_types::Duration>) -> Duration {
    let suggested = suggested.expect("every answer suggests one");
    suggested.try_into().expect("a time to come")
}
