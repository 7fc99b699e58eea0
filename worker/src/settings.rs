//! Every setting of the reaper, its default, and what goes wrong when it is off.

use crate::help;
use crate::pass::{Budget, PassSettings};
use claims::domain::Brake;
use claims::domain::liveness::SIGNATURE_STALE_AFTER;
use claims::program::{HealthSettings, LogFormat, WrongSetting, parse_length};
use claims::store::REAP_BATCH_MAX;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::time::Duration;

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CLAIM_COMMIT"), ")");

/// What the program does besides reaping.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Ask the daemon of this machine over HTTP whether it is ready; exit code 0 if so, else 1
    Health(HealthSettings),
}

/// Expires claims that nobody finishes.
///
/// Without --once it is a daemon that makes one pass each interval. Any number may run at once. The
/// database is named by the environment variable DATABASE_URL, or by the file that DATABASE_URL_FILE
/// names; the log goes to standard error and is filtered by RUST_LOG. Durations are written 500ms,
/// 30s, 5m, 7d.
///
/// Exit codes: 0 done, or nothing to do, or held back for an outage; 1 failed; 2 some claims failed
/// and were skipped, or the self-check found rows that contradict each other; 3 the brake held
/// claims back; 64 wrong settings.
#[derive(Clone, Debug, Parser)]
#[command(name = "claim-reaper", version = VERSION, about, long_about)]
#[command(after_long_help = help::more(), args_conflicts_with_subcommands = true)]
pub struct Settings {
    /// What to do instead of reaping.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// One complete pass, then exit; for cron
    #[arg(long)]
    pub once: bool,

    /// Print the summary as one JSON line on standard output
    ///
    /// Keys: started_at, duration_ms, scanned, expired, failed, held_back, hold_reason (null,
    /// outage_grace, brake), remaining_due, oldest_due_age_ms, pruned, dry_run.
    #[arg(long, help_heading = help::ONE_PASS)]
    pub json: bool,

    /// Change nothing; tell what is due and what would be held back
    ///
    /// The log names the first 100 claims that a pass would expire. The summary says what is:
    /// expired 0, remaining_due all that are due.
    #[arg(long, help_heading = help::ONE_PASS)]
    pub dry_run: bool,

    /// How long the pass may go on, such as 50s; 1s to 24h
    ///
    /// It ends with the step it is at; the next pass finds what is left. Give less than the time
    /// between two runs of the cron job. [default: until everything is done]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, help_heading = help::ONE_PASS)]
    pub budget: Option<Duration>,

    /// Expire in this pass also what the brake would hold back
    ///
    /// When the holders are known to be dead.
    #[arg(long, help_heading = help::ONE_PASS)]
    pub override_brake: bool,

    /// Remove no old claims and events
    ///
    /// Some other reaper has to, or the tables grow.
    #[arg(long)]
    pub no_prune: bool,

    /// Remove old claims and events, and expire nothing
    #[arg(long, help_heading = help::ONE_PASS)]
    pub only_prune: bool,

    /// Time between the beginnings of two passes, give or take a tenth; 100ms to 1h
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

    /// How long after becoming takeable a claim is left alone; 0 to 1h
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

    /// Most claims of one transaction; 1 to 5000
    ///
    /// Higher: longer locks on their entities. Lower: more commits.
    #[arg(long, env = "CLAIM_REAP_BATCH", value_name = "CLAIM_REAP_BATCH", default_value_t = 500)]
    pub batch: usize,

    /// The brake holds newly due claims back when they are more than this share of all active
    /// claims; 0 to 1, and 1 turns the brake off
    ///
    /// Higher: a fault may cost more holders their claims before somebody looks. Lower: claims of
    /// holders who really died stay for the brake's span more often.
    #[arg(
        long,
        env = "CLAIM_BRAKE_SHARE",
        value_name = "CLAIM_BRAKE_SHARE",
        default_value_t = Brake::default().share
    )]
    pub brake_share: f64,

    /// Fewer newly due claims than this never engage the brake
    ///
    /// Higher: a small fleet has no brake. Lower: a few real deaths in a small fleet engage it.
    #[arg(
        long,
        env = "CLAIM_BRAKE_MIN",
        value_name = "CLAIM_BRAKE_MIN",
        default_value_t = Brake::default().min
    )]
    pub brake_min: u64,

    /// How long a claim counts as newly due, and how long the brake holds it; 1s to 1h
    ///
    /// Longer: more time to notice a fault, and a real mass death is cleaned up later. Shorter than
    /// the time between two passes, there is no brake.
    #[arg(
        long,
        env = "CLAIM_BRAKE_SPAN",
        value_name = "CLAIM_BRAKE_SPAN",
        default_value = "60s",
        value_parser = parse_length
    )]
    pub brake_span: Duration,

    /// How long claims that have ended and events are kept; 1m to 3650d
    ///
    /// Longer: more disk. Shorter: less history, and a done that is repeated later than this is
    /// answered CLAIM_NOT_FOUND. Entities, fences and high-water marks of epochs are kept for ever.
    #[arg(
        long,
        env = "CLAIM_RETENTION",
        value_name = "CLAIM_RETENTION",
        default_value = "7d",
        value_parser = parse_length
    )]
    pub retention: Duration,

    /// Where the daemon serves /metrics, /livez and /readyz over HTTP: IP address and port
    ///
    /// Port 0 takes a free one; the log tells which. Keep it from the public.
    #[arg(
        long,
        env = "CLAIM_METRICS_LISTEN",
        value_name = "CLAIM_METRICS_LISTEN",
        default_value = "127.0.0.1:9465"
    )]
    pub metrics_listen: SocketAddr,

    /// How long a pass may take to end after SIGTERM or SIGINT; 0 to 10m
    ///
    /// A pass ends with its batch. One that has not ended by then is cut off; what it had under way
    /// is rolled back and found by the next pass.
    #[arg(
        long,
        env = "CLAIM_SHUTDOWN_GRACE",
        value_name = "CLAIM_SHUTDOWN_GRACE",
        default_value = "20s",
        value_parser = parse_length
    )]
    pub shutdown_grace: Duration,

    /// Form of the log: text or json [default: json where standard error is no terminal]
    ///
    /// It goes to standard error. RUST_LOG filters it.
    #[arg(long, env = "CLAIM_LOG_FORMAT", value_name = "CLAIM_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Shortest interval: below it the scans would follow each other without a pause.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest shutdown grace: whoever waits longer for a program to end kills it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(10 * 60);
/// Shortest retention: whoever repeats a lost done does so within it.
const RETENTION_MIN: Duration = Duration::from_secs(60);
/// Longest retention: a length that no clock arithmetic has trouble with.
const RETENTION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

impl Settings {
    /// Checks bounds and relations; names the first setting that is wrong.
    pub fn check(&self) -> Result<(), WrongSetting> {
        self.check_flags()?;
        let bounds: [(&'static str, Duration, Duration, Duration, &str); 6] = [
            ("CLAIM_REAPER_INTERVAL", self.interval, INTERVAL_MIN, HOUR, "between 100ms and 1h"),
            ("CLAIM_REAP_GRACE", self.reap_grace, Duration::ZERO, HOUR, "at most 1h"),
            ("CLAIM_BRAKE_SPAN", self.brake_span, SECOND, HOUR, "between 1s and 1h"),
            (
                "CLAIM_RETENTION",
                self.retention,
                RETENTION_MIN,
                RETENTION_MAX,
                "between 1m and 3650d",
            ),
            (
                "CLAIM_SHUTDOWN_GRACE",
                self.shutdown_grace,
                Duration::ZERO,
                SHUTDOWN_GRACE_MAX,
                "at most 10m",
            ),
            ("--budget", self.budget.unwrap_or(SECOND), SECOND, DAY, "between 1s and 24h"),
        ];
        for (name, value, least, most, told) in bounds {
            if !(least..=most).contains(&value) {
                return Err(WrongSetting::new(name, format!("must be {told}")));
            }
        }
        if !(1..=REAP_BATCH_MAX).contains(&self.batch) {
            let problem = format!("must be between 1 and {REAP_BATCH_MAX}");
            return Err(WrongSetting::new("CLAIM_REAP_BATCH", problem));
        }
        if !(0.0..=1.0).contains(&self.brake_share) {
            return Err(WrongSetting::new("CLAIM_BRAKE_SHARE", "must be between 0 and 1"));
        }
        Ok(())
    }

    /// Flags that need, or exclude, each other.
    fn check_flags(&self) -> Result<(), WrongSetting> {
        let of_one_pass = [
            ("--json", self.json),
            ("--dry-run", self.dry_run),
            ("--budget", self.budget.is_some()),
            ("--override-brake", self.override_brake),
            ("--only-prune", self.only_prune),
        ];
        if let Some((name, _)) = of_one_pass.iter().find(|(_, given)| *given && !self.once) {
            return Err(WrongSetting::new(name, "needs --once"));
        }
        for (name, given) in [("--no-prune", self.no_prune), ("--dry-run", self.dry_run)] {
            if self.only_prune && given {
                let problem = format!("leaves nothing to do together with {name}");
                return Err(WrongSetting::new("--only-prune", problem));
            }
        }
        Ok(())
    }

    /// What each pass is told.
    #[must_use]
    pub fn of_pass(&self) -> PassSettings {
        // Above all claims there is no share.
        let share = if self.override_brake { 1.0 } else { self.brake_share };
        PassSettings {
            reap_grace: self.reap_grace,
            batch: self.batch,
            brake: Brake { share, min: self.brake_min, span: self.brake_span },
            retention: self.retention,
            dry_run: self.dry_run,
            reap: !self.only_prune,
            prune: !self.no_prune,
        }
    }

    /// How long the one pass of --once may go on.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget { pass: self.budget, upkeep: None }
    }

    /// Says what may not be wrong, and yet surprise.
    pub fn warn(&self) {
        if self.reap_grace < SIGNATURE_STALE_AFTER {
            tracing::warn!(
                reap_grace_ms = self.reap_grace.as_millis(),
                "CLAIM_REAP_GRACE is below 5s; an outage too short to be noticed may cost holders \
                 of short leases their claims"
            );
        }
        if !self.once && self.brake_span <= self.interval {
            tracing::warn!(
                "CLAIM_BRAKE_SPAN is not longer than CLAIM_REAPER_INTERVAL; the brake will hardly \
                 ever hold a claim back"
            );
        }
    }
}
