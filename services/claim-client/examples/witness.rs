//! A load that remembers every answer, and holds the service to it: for rehearsals of failovers,
//! upgrades and restores (`scripts/test-failover`, `scripts/test-upgrade`, `scripts/test-pgbouncer`,
//! `scripts/test-restore`).
//!
//! Some workers compete for a few entities: each mints a claim, holds it for a moment, and reports it
//! done. Meanwhile and at the end it is checked that
//!
//! * nobody is granted an entity whose holder may still write;
//! * the fences of an entity rise with every grant;
//! * what was acknowledged is there: each claim under its identity and with its fence, each done as
//!   that done, and no lease ends before the time that an answered heartbeat promised;
//! * with `--against` the record of an earlier run, of which the database may know nothing: every
//!   fence and every issued epoch lies above all of that record, and none of its tokens is good.
//!
//! Prints one JSON line; ends with 1 if anything was violated, or, with `--no-failures`, if any call
//! failed after all its repetitions.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "witness/audit.rs"]
mod audit;
#[path = "witness/ledger.rs"]
mod ledger;
#[path = "witness/record.rs"]
mod record;
#[path = "witness/worker.rs"]
mod worker;

use anyhow::{Context, Result};
use claim_client::Client;
use clap::Parser;
use ledger::Ledger;
use record::Record;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

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

    /// How long they go on; what they have begun, they finish
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    run_for: Duration,

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

    /// A call that fails after all its repetitions is a violation too
    #[arg(long)]
    no_failures: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let settings = Settings::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .init();
    let client =
        Client::builder(&settings.addresses).call_deadline(settings.call_deadline).build()?;
    let earlier = settings.against.as_deref().map(Record::read).transpose()?.unwrap_or_default();
    let ledger = Arc::new(Ledger::new(&earlier));
    audit::old_tokens_are_refused(&client, &ledger, &earlier).await?;

    let end = Instant::now() + settings.run_for;
    let mut workers = JoinSet::new();
    for number in 0..settings.workers {
        let worker = worker::Worker {
            client: client.clone(),
            ledger: Arc::clone(&ledger),
            prefix: settings.prefix.clone(),
            entities: settings.entities,
            lease: settings.lease,
            abandon: settings.abandon,
            number,
        };
        workers.spawn(worker.run(end));
    }
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
        audit::acknowledged_is_there(&client, &ledger).await?;
    }
    let summary = ledger.summary();
    println!("{}", serde_json::to_string(&summary)?);
    let failed = settings.no_failures && summary.failed > 0;
    Ok(if summary.violations.is_empty() && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
