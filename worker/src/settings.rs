//! Every setting of the reaper, its default, and what goes wrong when it is off.

use claims::program::{LogFormat, WrongSetting, parse_length};
use claims::store::REAP_BATCH_MAX;
use clap::Parser;
use std::time::Duration;

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CLAIM_COMMIT"), ")");

/// Expires claims that nobody finishes.
///
/// Without --once it is a daemon that makes one pass each interval. The database is named by the
/// environment variable DATABASE_URL, or by the file that DATABASE_URL_FILE names; the log goes to
/// standard error and is filtered by RUST_LOG.
///
/// Exit codes: 0 done, or nothing to do, or held back for an outage; 1 failed; 2 some claims
/// failed and were skipped; 64 wrong settings.
#[derive(Clone, Debug, Parser)]
#[command(name = "claim-reaper", version = VERSION, about, long_about)]
pub struct Settings {
    /// One complete pass, then exit; for cron
    #[arg(long)]
    pub once: bool,

    /// With --once: print the summary as one JSON line on standard output
    #[arg(long)]
    pub json: bool,

    /// Time between the beginnings of two passes
    ///
    /// Longer: dead claims stay longer. Shorter: more scans of the lease table.
    #[arg(
        long,
        env = "CLAIM_REAPER_INTERVAL",
        value_name = "CLAIM_REAPER_INTERVAL",
        default_value = "5s",
        value_parser = parse_length
    )]
    pub interval: Duration,

    /// How long after becoming takeable a claim is left alone
    ///
    /// Longer: dead claims stay longer. Below 5s, the length of outage that goes unnoticed, such an
    /// outage may cost holders of short leases their claims.
    #[arg(
        long,
        env = "CLAIM_REAP_GRACE",
        value_name = "CLAIM_REAP_GRACE",
        default_value = "5s",
        value_parser = parse_length
    )]
    pub reap_grace: Duration,

    /// Most claims of one transaction
    ///
    /// Higher: longer locks on their entities. Lower: more commits.
    #[arg(long, env = "CLAIM_REAP_BATCH", value_name = "CLAIM_REAP_BATCH", default_value_t = 500)]
    pub batch: usize,

    /// How long a pass may take to end after SIGTERM or SIGINT; 0 to 10m
    ///
    /// A pass ends with its batch. One that has not ended by then is cut off; what it had under way
    /// is rolled back and found by the next pass.
    #[arg(long, env = "CLAIM_SHUTDOWN_GRACE", default_value = "20s", value_parser = parse_length)]
    pub shutdown_grace: Duration,

    /// Form of the log: text or json [default: json where standard error is no terminal]
    #[arg(long, env = "CLAIM_LOG_FORMAT", value_name = "CLAIM_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Longest interval: beyond it a dead claim would stay for hours unnoticed.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Shortest interval: below it the scans would follow each other without a pause.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Longest shutdown grace: whoever waits longer for a program to end kills it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(10 * 60);

impl Settings {
    /// Checks bounds and relations; names the first setting that is wrong.
    pub fn check(&self) -> Result<(), WrongSetting> {
        if self.json && !self.once {
            return Err(WrongSetting::new("--json", "needs --once"));
        }
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&self.interval) {
            let problem = "must be between 100ms and 1h";
            return Err(WrongSetting::new("CLAIM_REAPER_INTERVAL", problem));
        }
        if self.reap_grace > INTERVAL_MAX {
            return Err(WrongSetting::new("CLAIM_REAP_GRACE", "must be at most 1h"));
        }
        if self.shutdown_grace > SHUTDOWN_GRACE_MAX {
            return Err(WrongSetting::new("CLAIM_SHUTDOWN_GRACE", "must be at most 10m"));
        }
        if !(1..=REAP_BATCH_MAX).contains(&self.batch) {
            let problem = format!("must be between 1 and {REAP_BATCH_MAX}");
            return Err(WrongSetting::new("CLAIM_REAP_BATCH", problem));
        }
        Ok(())
    }
}
