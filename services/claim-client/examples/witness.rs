//! A load that remembers every answer, and holds the service to it: for rehearsals of failovers,
//! upgrades, restores and faults (`scripts/test-failover`, `scripts/test-upgrade`,
//! `scripts/test-pgbouncer`, `scripts/test-restore`, `scripts/test-faults`).
//!
//! Some workers compete for a few entities: each mints a claim, holds it for a moment, and reports it
//! done. Meanwhile and at the end it is checked that
//!
//! * nobody is granted an entity whose holder may still write, and nobody loses a claim for which its
//!   guard still says so;
//! * the fences of an entity rise with every grant;
//! * what was acknowledged is there: each claim under its identity and with its fence, each done as
//!   that done, and no lease ends before the time that an answered heartbeat promised;
//! * with `--against` the record of an earlier run, of which the database may know nothing: every
//!   fence and every issued epoch lies above all of that record, and none of its tokens is good.
//!
//! With `--watch` all events are watched from the beginning: each once, in order, and among them all that
//! was acknowledged.
//!
//! With `--writes` each holder writes to its stream all the while, the holder of an abandoned claim too,
//! and every holder once more when its claim is over. What was granted, allowed and ended goes to a file
//! (`witness/log.rs`), for somebody else to judge: `scripts/lib/faults/judge.sql`.
//!
//! Prints one JSON line; ends with 1 if anything was violated, or, with `--no-failures`, if any call
//! failed after all its repetitions.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "witness/audit.rs"]
mod audit;
#[path = "witness/ledger.rs"]
mod ledger;
#[path = "witness/log.rs"]
mod log;
#[path = "witness/record.rs"]
mod record;
#[path = "witness/sight.rs"]
mod sight;
#[path = "witness/watcher.rs"]
mod watcher;
#[path = "witness/worker.rs"]
mod worker;
#[path = "witness/writer.rs"]
mod writer;

use anyhow::{Context, Result};
use claim_client::Client;
use clap::Parser;
use ledger::Ledger;
use log::Log;
use record::Record;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;
use watcher::Watcher;
use worker::{Habits, Worker};
use writer::Writer;

/// A load that remembers every answer.
#[derive(Clone, Debug, Parser)]
struct Settings {
    /// The servers, one or several
    #[arg(long = "address", value_name = "URL", value_delimiter = ',', required = true)]
    addresses: Vec<String>,

    /// What the entities' names begin with
    #[arg(long, default_value = "/witness")]
    prefix: String,

    /// How many entities there are to compete for
    #[arg(long, default_value_t = 12)]
    entities: usize,

    /// How many compete
    #[arg(long, default_value_t = 16)]
    workers: usize,

    /// How many clients they share, each of which begins with one of the servers at random
    #[arg(long, default_value_t = 1)]
    clients: usize,

    /// How long they go on; what they have begun, they finish
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    run_for: Duration,

    /// Go on until SIGTERM instead; what they have begun, they finish
    #[arg(long, conflicts_with = "run_for")]
    until_told: bool,

    /// How long a call is repeated until it counts as failed
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    call_deadline: Duration,

    /// Length of a lease
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    lease: Duration,

    /// File to write the record of all grants to, with their tokens: for a rehearsal only
    #[arg(long)]
    record: Option<PathBuf>,

    /// File to write the times of all grants and dones to, in milliseconds since 1970, one a line
    #[arg(long)]
    times: Option<PathBuf>,

    /// File with the record of an earlier run
    #[arg(long)]
    against: Option<PathBuf>,

    /// Leave the claims that are held at the end, instead of reporting them done
    #[arg(long)]
    abandon: bool,

    /// Leave one claim in so many without a word, in the midst of the run
    #[arg(long, value_name = "N", default_value_t = 0)]
    abandon_one_in: u32,

    /// Holders write about every 100 ms; file for what was granted, allowed and ended
    #[arg(long, value_name = "FILE")]
    writes: Option<PathBuf>,

    /// A holder that was away for longer than its lease may lose its claim, but no other
    #[arg(long)]
    may_lose: bool,

    /// The clocks of this machine and of the database may differ: do not compare them
    #[arg(long)]
    clocks_differ: bool,

    /// The database's clock may step forward: a lease may lapse before its time is over
    #[arg(long)]
    leases_may_lapse: bool,

    /// Claims that were reported done may have been removed by the end of the run
    #[arg(long)]
    may_be_pruned: bool,

    /// Watch all events from the beginning: what was acknowledged has to be among them
    #[arg(long)]
    watch: bool,

    /// A call that fails after all its repetitions is a violation too
    #[arg(long)]
    no_failures: bool,
}

impl Settings {
    fn client(&self) -> Result<Client> {
        Ok(Client::builder(&self.addresses).call_deadline(self.call_deadline).build()?)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let settings = Settings::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .init();
    let clients =
        (0..settings.clients.max(1)).map(|_| settings.client()).collect::<Result<Vec<_>>>()?;
    let client = &clients[0];
    let earlier = settings.against.as_deref().map(Record::read).transpose()?.unwrap_or_default();
    let ledger = Arc::new(Ledger::new(&earlier));
    audit::old_tokens_are_refused(client, &ledger, &earlier).await?;

    let watcher = match settings.watch {
        true => Some(Watcher::start(&settings.client()?, &ledger)),
        false => None,
    };
    let end = CancellationToken::new();
    let mut workers = start(&settings, &clients, &ledger, &end)?;
    let mut told = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = told.recv() => {}
        () = sleep(settings.run_for), if !settings.until_told => {}
    }
    end.cancel();
    while let Some(ended) = workers.join_next().await {
        ended.context("a worker panicked")?;
    }
    if let Some(path) = &settings.record {
        ledger.record().write(path)?;
    }
    if let Some(path) = &settings.times {
        std::fs::write(path, ledger.accepted_at())?;
    }
    if !settings.abandon {
        let but = audit::But {
            clocks_differ: settings.clocks_differ,
            may_be_pruned: settings.may_be_pruned,
        };
        audit::acknowledged_is_there(client, &ledger, &but).await?;
    }
    if let Some(watcher) = watcher {
        watcher.acknowledged_was_told(&ledger).await;
    }
    let summary = ledger.summary();
    println!("{}", serde_json::to_string(&summary)?);
    let failed = settings.no_failures && summary.failed > 0;
    Ok(if summary.violations.is_empty() && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts all workers. Each has ended when it was told so and all writes are over.
fn start(
    settings: &Settings,
    clients: &[Client],
    ledger: &Arc<Ledger>,
    end: &CancellationToken,
) -> Result<JoinSet<()>> {
    let log = settings.writes.as_deref().map(Log::new).transpose()?.unwrap_or_default();
    let log = Arc::new(log);
    let writer = match settings.writes {
        Some(_) => {
            let addresses = &settings.addresses;
            Some(Arc::new(Writer::new(addresses, Arc::clone(&log), Arc::clone(ledger))?))
        }
        None => None,
    };
    let habits = Arc::new(Habits {
        prefix: settings.prefix.clone(),
        entities: settings.entities,
        lease: settings.lease,
        abandon_at_end: settings.abandon,
        abandon_one_in: settings.abandon_one_in,
        may_lose: settings.may_lose,
        leases_may_lapse: settings.leases_may_lapse,
    });
    let writes = TaskTracker::new();
    let mut workers = JoinSet::new();
    for number in 0..settings.workers {
        let worker = Worker {
            client: clients[number % clients.len()].clone(),
            ledger: Arc::clone(ledger),
            log: Arc::clone(&log),
            writer: writer.clone(),
            writes: writes.clone(),
            habits: Arc::clone(&habits),
            number,
        };
        let (writes, end) = (writes.clone(), end.clone());
        workers.spawn(async move {
            worker.run(end).await;
            writes.close();
            writes.wait().await;
        });
    }
    Ok(workers)
}
