//! Mints that are sent at their times, whether or not others are answered.

use super::super::call::fresh;
use super::answer::{Answer, Refused};
use super::connection::Connection;
use crate::latencies::Latencies;
use crate::load::TENANT;
use crate::numbers::float;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::MintRequest;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tonic::Code;

/// As a handful of dispatchers would have. Each takes 1 024 calls under way.
pub(crate) const CONNECTIONS: usize = 16;
/// How often due calls are sent and answers are looked for; latencies are as coarse as this.
const TICK: Duration = Duration::from_millis(1);
/// From the last call to the last answer; a call has ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came of it.
pub(crate) struct Flood {
    pub(crate) sent: u64,
    /// Due while no connection took another.
    pub(crate) not_sent: u64,
    /// Calls under way, at most.
    pub(crate) under_way: usize,
    /// While calls were sent.
    pub(crate) seconds: f64,
    /// Latencies are from when a call was due.
    pub(crate) minted: Latencies,
    /// Minted while calls were sent.
    pub(crate) in_time: u64,
    pub(crate) refused: Latencies,
    pub(crate) says_when: u64,
    /// Refused because a quota is used up.
    pub(crate) names_quota: u64,
    pub(crate) failed: u64,
    pub(crate) failed_with: Option<Code>,
}

impl Flood {
    fn new() -> Result<Self> {
        Ok(Self {
            sent: 0,
            not_sent: 0,
            under_way: 0,
            seconds: 0.0,
            minted: Latencies::new()?,
            in_time: 0,
            refused: Latencies::new()?,
            says_when: 0,
            names_quota: 0,
            failed: 0,
            failed_with: None,
        })
    }

    /// Sends mints of fresh entities, `rate` a second, and waits for all their answers. Keeps a thread
    /// busy.
    pub(crate) fn send(address: &str, rate: f64, length: Duration) -> Result<Self> {
        Self::send_of(TENANT, "o_", address, rate, length)
    }

    /// The same, of that tenant; names begin so.
    pub(crate) fn send_of(
        tenant: &str,
        prefix: &str,
        address: &str,
        rate: f64,
        length: Duration,
    ) -> Result<Self> {
        let authority = address.strip_prefix("http://").context("an address without encryption")?;
        let opened = (0..CONNECTIONS).map(|_| Connection::open(authority));
        let mut connections = opened.collect::<Result<Vec<_>>>()?;
        greet(&mut connections)?;
        let mut flood = Self::new()?;
        let began = Instant::now();
        let due = |number| {
            Ok::<_, anyhow::Error>(began + Duration::from_secs(1).mul_f64(float(number)? / rate))
        };
        loop {
            let now = Instant::now();
            let is_sending = now < began + length;
            while is_sending && due(flood.sent + flood.not_sent)? <= now {
                let due = due(flood.sent + flood.not_sent)?;
                let name = format!("{prefix}{}", flood.sent);
                let request = MintRequest { tenant_id: tenant.into(), ..fresh(&name) };
                flood.one(&mut connections, &request, due)?;
            }
            flood.look(&mut connections)?;
            let under_way = connections.iter().map(Connection::under_way).sum();
            flood.under_way = flood.under_way.max(under_way);
            if is_sending {
                flood.seconds = now.duration_since(began).as_secs_f64();
                flood.in_time = flood.minted.count();
            } else if under_way == 0 {
                return Ok(flood);
            }
            ensure!(began.elapsed() < length + PATIENCE, "{under_way} calls without an answer");
            sleep((now + TICK).saturating_duration_since(Instant::now()));
        }
    }

    fn one(
        &mut self,
        connections: &mut [Connection],
        request: &MintRequest,
        due: Instant,
    ) -> Result<()> {
        // Round robin, beginning behind the last.
        let count = connections.len();
        let first = usize::try_from(self.sent)? % count;
        for place in (first..count).chain(0..first) {
            let connection = connections.get_mut(place).context("a connection")?;
            if connection.has_room() {
                connection.send(request, due)?;
                self.sent += 1;
                return Ok(());
            }
        }
        self.not_sent += 1;
        Ok(())
    }

    fn look(&mut self, connections: &mut [Connection]) -> Result<()> {
        for connection in connections {
            connection.exchange(|answer, due| self.count(answer, due.elapsed()))?;
        }
        Ok(())
    }

    fn count(&mut self, answer: Answer, latency: Duration) -> Result<()> {
        match answer {
            Answer::Minted => self.minted.record(latency)?,
            Answer::Refused(Refused { says_when, names_quota }) => {
                self.says_when += u64::from(says_when);
                self.names_quota += u64::from(names_quota);
                self.refused.record(latency)?;
            }
            Answer::Failed(code) => {
                self.failed += 1;
                self.failed_with = Some(code);
            }
        }
        Ok(())
    }
}

/// Lets every connection learn what the server takes.
fn greet(connections: &mut [Connection]) -> Result<()> {
    for _ in 0..50 {
        for connection in &mut *connections {
            connection.exchange(|_, _| Ok(()))?;
        }
        sleep(TICK);
    }
    Ok(())
}
