//! The floor: pgbench with the same work as plain single statements, prepared, on the same tables
//! of the same Postgres.

use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use std::time::Duration;

const MINT: &str = include_str!("../../sql/calls/mint.sql");
const HEARTBEAT: &str = include_str!("../../sql/calls/heartbeat.sql");

/// Mints a second.
pub(crate) fn mints(stage: &Stage, clients: usize, length: Duration) -> Result<f64> {
    pgbench(stage, MINT, clients, clients, length)
}

/// Heartbeats a second, of the claims that the callers hold.
pub(crate) fn heartbeats(stage: &Stage, clients: usize, length: Duration) -> Result<f64> {
    pgbench(stage, HEARTBEAT, clients, clients, length)
}

fn pgbench(
    stage: &Stage,
    script: &str,
    clients: usize,
    holders: usize,
    length: Duration,
) -> Result<f64> {
    let file = std::env::temp_dir().join(format!("claim-bench-{}.sql", std::process::id()));
    std::fs::write(&file, script)?;
    let output = stage
        .pgbench()
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={clients}"))
        .arg(format!("--define=holders={holders}"))
        .arg(format!("--time={}", length.as_secs().max(1)))
        .arg(format!("--file={}", file.display()))
        .output()
        .context("pgbench does not run")?;
    std::fs::remove_file(&file)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !text.contains("number of failed transactions: 0") {
        bail!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")).context("no tps")?;
    Ok(tps.split_whitespace().next().context("no tps")?.parse()?)
}
