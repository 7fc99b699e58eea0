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
    println!("{} runners were killed, {} were paused", runners.killed, runners.paused);
    audit::compare(&client, &store, &entities).await
}

struct Runners<'a> {
    settings: &'a Fleet,
    prefix: &'a str,
    store: SocketAddr,
    children: Vec<Child>,
    started: usize,
    killed: usize,
    paused: usize,
}

impl<'a> Runners<'a> {
    fn start(settings: &'a Fleet, prefix: &'a str, store: SocketAddr) -> Result<Self> {
        let mut runners = Self {
            settings,
            prefix,
            store,
            children: Vec::new(),
            started: 0,
            killed: 0,
            paused: 0,
        };
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
        let mut kill_at = after_about(self.settings.kill_every);
        let mut pause_at = after_about(self.settings.pause_every);
        let mut tell_at = Instant::now() + TELL_EVERY;
        while Instant::now() < end {
            let next = [kill_at, pause_at, Some(tell_at)].into_iter().flatten().min();
            sleep_until(next.unwrap_or(end).min(end).into()).await;
            if kill_at.is_some_and(|at| at <= Instant::now()) {
                self.kill_one().await?;
                kill_at = after_about(self.settings.kill_every);
            }
            if pause_at.is_some_and(|at| at <= Instant::now()) {
                self.pause_one();
                pause_at = after_about(self.settings.pause_every);
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

    async fn kill_one(&mut self) -> Result<()> {
        let victim = fastrand::usize(..self.children.len());
        self.children[victim].kill().await?;
        self.killed += 1;
        sleep(Duration::from_millis(fastrand::u64(..500))).await;
        self.children[victim] = self.start_one()?;
        Ok(())
    }

    /// Stops a runner for up to two leases. When it goes on, it believes for a moment what was true
    /// when it was stopped.
    fn pause_one(&mut self) {
        let one = fastrand::usize(..self.children.len());
        let Some(pid) = self.children[one].id() else { return };
        self.paused += 1;
        let length = self.settings.common.lease.mul_f64(2.0 * fastrand::f64());
        tokio::spawn(async move {
            // If it is killed meanwhile, there is nobody to go on.
            signal("STOP", pid).await;
            sleep(length).await;
            signal("CONT", pid).await;
        });
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

/// A moment at random, about that long from now; none if it is never to come.
fn after_about(length: Duration) -> Option<Instant> {
    (!length.is_zero()).then(|| Instant::now() + length.mul_f64(0.5 + fastrand::f64()))
}

async fn signal(name: &str, pid: u32) {
    let kill =
        Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status();
    let _ = kill.await;
}
