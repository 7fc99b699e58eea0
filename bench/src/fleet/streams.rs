//! Many KeepAlive streams that stay open, each with a claim of its own, and do the same at the same
//! time: nothing, or a heartbeat each interval.

use super::line::Line;
use crate::latencies::Latencies;
use crate::load::clients;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Streams that are being opened at the same time. Each sends a heartbeat, and more would wait than
/// the server lets wait.
const OPENING_MAX: usize = 500;

/// What the streams do now.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    Beating(Schedule),
    Closing,
}

/// When they heartbeat; each at its own place in the interval.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) length: Duration,
    pub(crate) interval: Duration,
}

/// What a stream has to say.
enum Told {
    /// It is open, and its first heartbeat was accepted.
    Opened,
    /// A heartbeat was accepted, so long after its time.
    Accepted(Duration),
    /// All heartbeats of the schedule were.
    Rests,
}

/// The open streams.
pub(crate) struct Streams {
    count: u32,
    phase: watch::Sender<Phase>,
    told: mpsc::UnboundedReceiver<Result<Told>>,
    tasks: JoinSet<()>,
    /// Kept, so that the connections outlive the streams.
    clients: Vec<ClaimServiceClient<Channel>>,
}

/// Connections without streams.
pub(crate) async fn connect(
    address: &str,
    connections: u32,
) -> Result<Vec<ClaimServiceClient<Channel>>> {
    let connections = usize::try_from(connections)?;
    clients(address, connections, connections).await
}

impl Streams {
    /// Opens so many over these connections; each sends one heartbeat.
    pub(crate) async fn open(
        clients: Vec<ClaimServiceClient<Channel>>,
        count: u32,
    ) -> Result<Self> {
        let (phase, phases) = watch::channel(Phase::Idle);
        let (tell, told) = mpsc::unbounded_channel();
        let turns = Arc::new(Semaphore::new(OPENING_MAX));
        let mut tasks = JoinSet::new();
        for (number, client) in (0..count).zip(clients.iter().cycle()) {
            let stream = Stream {
                number,
                place: f64::from(number) / f64::from(count),
                phases: phases.clone(),
                tell: tell.clone(),
            };
            let (client, turns) = (client.clone(), turns.clone());
            tasks.spawn(async move {
                let tell = stream.tell.clone();
                if let Err(error) = stream.keep(client, &turns).await {
                    // Whoever has heard of one failure does not listen to the next.
                    let _ = tell.send(Err(error));
                }
            });
        }
        let mut streams = Self { count, phase, told, tasks, clients };
        let mut open = 0;
        while open < count {
            ensure!(matches!(streams.next().await?, Told::Opened), "it was only to be opened");
            open += 1;
        }
        Ok(streams)
    }

    /// How many they are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Begins to heartbeat.
    pub(crate) fn beat(&self, schedule: Schedule) {
        self.phase.send_replace(Phase::Beating(schedule));
    }

    /// Waits until the schedule is done: latencies, counted from when a heartbeat was to be sent.
    pub(crate) async fn rest(&mut self) -> Result<Latencies> {
        let (mut resting, mut latencies) = (0, Latencies::new()?);
        while resting < self.count {
            match self.next().await? {
                Told::Opened => {}
                Told::Accepted(latency) => latencies.record(latency)?,
                Told::Rests => resting += 1,
            }
        }
        Ok(latencies)
    }

    /// Ends the streams; the connections stay with whoever gets them.
    pub(crate) async fn close(mut self) -> Result<Vec<ClaimServiceClient<Channel>>> {
        self.phase.send_replace(Phase::Closing);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        // What they had to say in the end can only be a failure.
        if let Ok(told) = self.told.try_recv() {
            told?;
        }
        Ok(self.clients)
    }

    async fn next(&mut self) -> Result<Told> {
        self.told.recv().await.context("all streams have ended")?
    }
}

/// One of them.
struct Stream {
    number: u32,
    /// In the interval: from 0 to 1.
    place: f64,
    phases: watch::Receiver<Phase>,
    tell: mpsc::UnboundedSender<Result<Told>>,
}

impl Stream {
    async fn keep(
        mut self,
        mut client: ClaimServiceClient<Channel>,
        turns: &Semaphore,
    ) -> Result<()> {
        let turn = turns.acquire().await?;
        let mut line = Line::open(&mut client, 1).await?;
        line.send(1, self.number).await?;
        line.answered().await?;
        drop(turn);
        self.tell.send(Ok(Told::Opened))?;
        loop {
            self.phases.changed().await?;
            let phase = *self.phases.borrow_and_update();
            match phase {
                Phase::Idle => {}
                Phase::Beating(schedule) => self.beat(&mut line, schedule).await?,
                Phase::Closing => return line.close().await,
            }
        }
    }

    async fn beat(&self, line: &mut Line, schedule: Schedule) -> Result<()> {
        let began = Instant::now();
        let mut due = schedule.interval.mul_f64(self.place);
        while due < schedule.length {
            tokio::time::sleep_until((began + due).into()).await;
            line.send(1, self.number).await?;
            line.answered().await?;
            self.tell.send(Ok(Told::Accepted((began + due).elapsed())))?;
            due += schedule.interval;
        }
        self.tell.send(Ok(Told::Rests))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::holders;
    use crate::fleet::testing::Ground;

    const SCHEDULE: Schedule =
        Schedule { length: Duration::from_millis(300), interval: Duration::from_millis(100) };

    #[test]
    fn every_stream_beats_at_its_times_and_leaves_in_good_order() {
        let ground = Ground::new();
        ground.runtime.block_on(async {
            holders::mint(&ground.address, 20).await.unwrap();
            let clients = connect(&ground.address, 3).await.unwrap();
            let mut streams = Streams::open(clients, 20).await.unwrap();
            streams.beat(SCHEDULE);
            assert_eq!(streams.rest().await.unwrap().count(), 20 * 3);
            assert_eq!(streams.close().await.unwrap().len(), 3);
        });
    }

    #[test]
    fn a_stream_without_a_claim_is_an_error() {
        let ground = Ground::new();
        let opened = ground.runtime.block_on(async {
            let clients = connect(&ground.address, 1).await.unwrap();
            Streams::open(clients, 2).await
        });
        assert!(opened.is_err());
    }
}
