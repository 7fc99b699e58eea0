//! A daemon and what it tells of its passes.
//!
//! Its first passes carry a round of the self-check, which reads every row; then that rests for
//! a while. A pass is measured at rest, as almost all of them are.

use crate::cpu;
use crate::programs::{Running, program};
use crate::stage::Stage;
use anyhow::{Result, bail};
use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest wait for anything that a daemon does: a round of the self-check, or its rest.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
const LOOK: Duration = Duration::from_millis(50);

/// A claim-reaper that makes a pass each interval until this value ends.
pub(crate) struct Daemon {
    running: Running,
    log: PathBuf,
}

/// A pass, as the daemon tells of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ToldPass {
    pub(crate) duration_ms: f64,
    pub(crate) expired: u64,
}

impl Daemon {
    /// Starts one with these settings other than the defaults; `name` tells its log from another's.
    pub(crate) fn start(stage: &Stage, name: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let log = stage.folder().join(format!("reaper-{name}.log"));
        let mut command = program("claim-reaper", stage.url())?;
        command.env("RUST_LOG", "warn,claim_reaper=debug").env("CLAIM_LOG_FORMAT", "json");
        command.envs(settings.iter().copied()).stderr(File::create(&log)?);
        Ok(Self { running: Running::start(&mut command)?, log })
    }

    /// Its processor time.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.running.id())
    }

    /// The passes that it has made.
    pub(crate) fn passes(&self) -> Result<Vec<ToldPass>> {
        Ok(passes(&self.lines()?))
    }

    /// Lengths of its rounds of the self-check in milliseconds, rests not counted.
    pub(crate) fn self_checks(&self) -> Result<Vec<f64>> {
        Ok(self.lines()?.iter().filter_map(|line| number(line.get("spent_ms")?)).collect())
    }

    /// Waits until it has ended so many rounds of the self-check.
    pub(crate) fn await_self_checks(&mut self, rounds: usize) -> Result<()> {
        self.wait_until(|daemon| Ok(daemon.self_checks()?.len() >= rounds))
    }

    /// Waits for the first pass behind `before` that expired something.
    pub(crate) fn await_expiry(&mut self, before: usize) -> Result<ToldPass> {
        let worked = |daemon: &Self| -> Result<Option<ToldPass>> {
            Ok(daemon.passes()?.into_iter().skip(before).find(|pass| pass.expired > 0))
        };
        self.wait_until(|daemon| Ok(worked(daemon)?.is_some()))?;
        Ok(worked(self)?.unwrap_or(ToldPass { duration_ms: f64::NAN, expired: 0 }))
    }

    /// Waits until it has made so many passes.
    pub(crate) fn await_passes(&mut self, count: usize) -> Result<()> {
        self.wait_until(|daemon| Ok(daemon.passes()?.len() >= count))
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.check("claim-reaper")
    }

    fn wait_until(&mut self, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !done(self)? {
            self.check()?;
            if began.elapsed() > PATIENCE {
                bail!("nothing within {PATIENCE:?}; the reaper's log: {}", self.text()?);
            }
            sleep(LOOK);
        }
        Ok(())
    }

    fn lines(&self) -> Result<Vec<Value>> {
        Ok(self.text()?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn text(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

fn passes(lines: &[Value]) -> Vec<ToldPass> {
    let told = lines.iter().filter(|line| line.get("scanned").is_some());
    told.filter_map(|line| {
        let expired = line.get("expired").and_then(Value::as_u64).unwrap_or(0);
        Some(ToldPass { duration_ms: number(line.get("duration_ms")?)?, expired })
    })
    .collect()
}

/// A number as the log writes it; those of 128 bits are texts.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn passes_are_told_from_other_lines() {
        let lines = [
            json!({"message": "reaping every 5s", "interval_ms": 5000}),
            json!({"message": "nothing is due", "scanned": 7, "duration_ms": 3}),
            json!({"message": "self-check", "spent_ms": "12"}),
            json!({"message": "expired", "scanned": 7, "expired": 2, "duration_ms": 4}),
        ];
        let told = [(3.0, 0), (4.0, 2)];
        let told = told.map(|(duration_ms, expired)| ToldPass { duration_ms, expired });
        assert_eq!(passes(&lines), told);
    }
}
