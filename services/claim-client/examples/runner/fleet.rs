//! The fleet: starts the runners, kills them at random and starts them again, lets them finish, and
//! compares what the store recorded with what the claims say.

use crate::audit;
use crate::settings::{Fleet, entity};
use crate::store::Store;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::time::{sleep, sleep_until, timeout};

/// Longest time for a runner to finish what it has begun. It may have to wait for the service.
const FINISH_PATIENCE: Duration = Duration::from_secs(90);
/// How often the fleet tells how it is doing.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Runs the fleet; fails if the comparison does not come out even.
pub(crate) async fn run(settings: Fleet) -> Result<ExitCode> {
    let client = settings.common.client()?;
    // Entities of this run alone: a database may be used for many.
    let prefix = format!("/runs/{:08x}", fastrand::u32(..));
    let (store, address) = Store::start(client.clone()).await?;
    println!(
        "{} runners with {} slots each work on {} entities, {prefix}/e0 and so on, for {:?}",
        settings.runners, settings.common.slots, settings.common.entities, settings.run_for
    );
    let mut runners = Runners::start(&settings, &prefix, address)?;
    runners.work(&store).await?;
    println!("the runners finish what they have begun");
    runners.finish().await?;

    let entities: Vec<String> =
        (0..settings.common.entities).map(|number| entity(&prefix, number)).collect();
    audit::settle(&client, &store, address, &entities).await?;
    println!("{} runners were killed", runners.killed);
    audit::compare(&client, &store, &entities).await
}

struct Runners<'a> {
    settings: &'a Fleet,
    prefix: &'a str,
    store: SocketAddr,
    children: Vec<Child>,
    started: usize,
    killed: usize,
}

impl<'a> Runners<'a> {
    fn start(settings: &'a Fleet, prefix: &'a str, store: SocketAddr) -> Result<Self> {
        let mut runners =
            Self { settings, prefix, store, children: Vec::new(), started: 0, killed: 0 };
        for _ in 0..settings.runners {
            let runner = runners.start_one()?;
            runners.children.push(runner);
        }
        Ok(runners)
    }

    /// Starts this program once more, as a runner. It ends when its standard input does, so no
    /// runner outlives the fleet.
    fn start_one(&mut self) -> Result<Child> {
        self.started += 1;
        let child = Command::new(std::env::current_exe()?)
            .arg("work")
            .args(self.settings.common.flags())
            .arg(format!("--name=runner-{}", self.started))
            .arg(format!("--prefix={}", self.prefix))
            .arg(format!("--store={}", self.store))
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.context("a runner cannot be started")
    }

    /// Lets them work, and kills one now and then.
    async fn work(&mut self, store: &Store) -> Result<()> {
        let end = Instant::now() + self.settings.run_for;
        let (mut kill_at, mut tell_at) = (self.next_kill(), Instant::now() + TELL_EVERY);
        while Instant::now() < end {
            let next = kill_at.unwrap_or(end).min(tell_at).min(end);
            sleep_until(next.into()).await;
            if kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill_one().await?;
                kill_at = self.next_kill();
            }
            if tell_at <= Instant::now() {
                let finished = store.look(|record| record.finished());
                println!("{finished} pieces are finished, {} runners were killed", self.killed);
                tell_at += TELL_EVERY;
            }
            self.check()?;
        }
        Ok(())
    }

    fn next_kill(&self) -> Option<Instant> {
        let about = self.settings.kill_every;
        (!about.is_zero()).then(|| Instant::now() + about.mul_f64(0.5 + fastrand::f64()))
    }

    async fn kill_one(&mut self) -> Result<()> {
        let victim = fastrand::usize(..self.children.len());
        self.children[victim].kill().await?;
        self.killed += 1;
        sleep(Duration::from_millis(fastrand::u64(..500))).await;
        self.children[victim] = self.start_one()?;
        Ok(())
    }

    /// Fails if a runner has ended although nobody killed it.
    fn check(&mut self) -> Result<()> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("a runner has ended by itself: {status}");
            }
        }
        Ok(())
    }

    /// Asks all of them to finish, and waits until they have.
    async fn finish(&mut self) -> Result<()> {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        for child in &mut self.children {
            let ended = timeout(FINISH_PATIENCE, child.wait()).await;
            let status = ended.context("a runner does not finish")??;
            anyhow::ensure!(status.success(), "a runner has failed: {status}");
        }
        Ok(())
    }
}
