//! The floor: pgbench with the same work as plain single statements, prepared, on the same tables
//! of the same Postgres.

use crate::latencies::Latencies;
use crate::load::Measured;
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::Duration;

const ANY: &str = include_str!("../sql/floor/any.sql");
const NEXT: &str = include_str!("../sql/floor/next.sql");
const MINT: &str = include_str!("../sql/floor/mint.sql");
const DONE: &str = include_str!("../sql/floor/done.sql");
const HEARTBEAT: &str = include_str!("../sql/floor/heartbeat.sql");
const AUTHORIZE: &str = include_str!("../sql/floor/authorize.sql");
/// Which column of a line of pgbench's log has the microseconds of a transaction.
const LOGGED_MICROS: usize = 2;

/// How much is done.
#[derive(Clone, Copy)]
enum Extent {
    For(Duration),
    /// So many times, of the entities after this one.
    Counted {
        times: u32,
        after: u64,
    },
}

/// Mints.
pub(crate) fn mints(stage: &Stage, clients: usize, length: Duration) -> Result<Measured> {
    pgbench(stage, &format!("{ANY}{MINT}"), clients, 1, Extent::For(length))
}

/// Mints, each with its done: cycles a second.
pub(crate) fn cycles(stage: &Stage, clients: usize, length: Duration) -> Result<Measured> {
    pgbench(stage, &format!("{ANY}{MINT}{DONE}"), clients, 1, Extent::For(length))
}

/// So many mints by one client, then their dones, of the entities after this one.
pub(crate) fn mints_and_dones(stage: &Stage, times: u32, after: u64) -> Result<[Measured; 2]> {
    let counted = Extent::Counted { times, after };
    Ok([
        pgbench(stage, &format!("{NEXT}{MINT}"), 1, 1, counted)?,
        pgbench(stage, &format!("{NEXT}{DONE}"), 1, 1, counted)?,
    ])
}

/// Heartbeats of so many holders in turn by chance.
pub(crate) fn heartbeats(
    stage: &Stage,
    clients: usize,
    holders: usize,
    length: Duration,
) -> Result<Measured> {
    pgbench(stage, HEARTBEAT, clients, holders, Extent::For(length))
}

/// Authorizations of so many holders in turn by chance.
pub(crate) fn authorizations(
    stage: &Stage,
    clients: usize,
    holders: usize,
    length: Duration,
) -> Result<Measured> {
    pgbench(stage, AUTHORIZE, clients, holders, Extent::For(length))
}

fn pgbench(
    stage: &Stage,
    script: &str,
    clients: usize,
    holders: usize,
    extent: Extent,
) -> Result<Measured> {
    let folder = stage.folder().join("pgbench");
    fs::create_dir_all(&folder)?;
    let file = folder.join("script.sql");
    fs::write(&file, script)?;
    let mut command = stage.pgbench();
    match extent {
        Extent::For(length) => command.arg(format!("--time={}", length.as_secs().max(1))),
        Extent::Counted { times, after } => {
            command.arg(format!("--transactions={times}")).arg(format!("--define=entity={after}"))
        }
    };
    let output = command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={clients}"))
        .arg(format!("--define=holders={holders}"))
        .arg(format!("--file={}", file.display()))
        .args(["--log", "--log-prefix=log"])
        .current_dir(&folder)
        .output()
        .context("pgbench does not run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !text.contains("number of failed transactions: 0") {
        bail!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")).context("no tps")?;
    let latencies = logged(&folder)?;
    fs::remove_dir_all(&folder)?;
    Ok(Measured {
        per_second: tps.split_whitespace().next().context("no tps")?.parse()?,
        p50_ms: latencies.quantile_ms(0.5)?,
        p99_ms: latencies.quantile_ms(0.99)?,
    })
}

/// The latencies in the logs of its threads.
fn logged(folder: &Path) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("log.") {
            continue;
        }
        for line in fs::read_to_string(entry.path())?.lines() {
            let micros = line.split(' ').nth(LOGGED_MICROS).context("pgbench's log")?;
            latencies.record(Duration::from_micros(micros.parse()?))?;
        }
    }
    Ok(latencies)
}
