//! Every setting of `claim-server serve`, its default, and what goes wrong when it is off. All are
//! checked before anything binds.

use crate::access::{AccessConfig, AccessSettings};
use crate::entrance::ConnectionSettings;
use crate::quota::file::{QuotaFile, QuotaSettings};
use crate::transport::{Transport, TransportSettings};
use claims::program::{LogFormat, WrongSetting, database_from_environment, parse_length};
use claims::store::{Database, StoreSettings};
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Lanes of a kind: each is a connection, of which Postgres has 100 by default.
const LANES: RangeInclusive<usize> = 1..=32;
/// Calls of a batch.
const BATCH: RangeInclusive<usize> = 1..=4096;
/// Longest outage grace; the database keeps no longer one.
const OUTAGE_GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest shutdown grace: whoever waits longer for a server to end kills it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(10 * 60);

/// Where probes and metrics are served if nothing else is said.
pub const METRICS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Settings of `serve`, as flags and environment variables alike.
#[derive(Clone, Debug, Args)]
pub struct ServeSettings {
    /// Where the gRPC services listen: IP address and port
    ///
    /// Port 0 takes a free one; the ready line tells which. An address that other machines reach,
    /// such as 0.0.0.0, needs CLAIM_TLS_CERT, or CLAIM_ALLOW_PLAINTEXT if plain text is meant; and
    /// CLAIM_POLICY_FILE, which says who may call.
    #[arg(
        long,
        env = "CLAIM_LISTEN",
        value_name = "CLAIM_LISTEN",
        default_value = "127.0.0.1:50051"
    )]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served over HTTP: IP address and port
    ///
    /// Port 0 takes a free one. Keep it from the public: it tells how the service is doing.
    #[arg(
        long,
        env = "CLAIM_METRICS_LISTEN",
        value_name = "CLAIM_METRICS_LISTEN",
        default_value_t = METRICS_LISTEN
    )]
    pub metrics_listen: SocketAddr,

    /// How long after an outage of the service a lapsed claim is protected, so that its holder can
    /// be heard first; 0 to 24h
    ///
    /// All servers of a database must agree. Shorter than a holder needs to come back (a heartbeat
    /// is repeated within 5 s): holders lose claims for an outage that was not theirs. Longer: who
    /// died in the outage keeps an entity for longer. 0: no protection.
    #[arg(
        long,
        env = "CLAIM_OUTAGE_GRACE",
        value_name = "CLAIM_OUTAGE_GRACE",
        default_value = "30s",
        value_parser = parse_length
    )]
    pub outage_grace: Duration,

    /// How long calls in flight may take to finish after SIGTERM or SIGINT; 0 to 10m
    ///
    /// Shorter than a call takes: its caller does not learn the outcome and has to repeat it.
    /// Longer than the orchestrator waits: it kills the server before the drain is over.
    #[arg(
        long,
        env = "CLAIM_SHUTDOWN_GRACE",
        value_name = "CLAIM_SHUTDOWN_GRACE",
        default_value = "20s",
        value_parser = parse_length
    )]
    pub shutdown_grace: Duration,

    /// How calls share connections and transactions.
    #[command(flatten)]
    pub lanes: LaneSettings,

    /// Encryption of the gRPC listener.
    #[command(flatten)]
    pub transport: TransportSettings,

    /// Bounds of its connections.
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Who may call.
    #[command(flatten)]
    pub access: AccessSettings,

    /// What tenants and callers may use at most.
    #[command(flatten)]
    pub quota: QuotaSettings,

    /// The form of the log.
    #[command(flatten)]
    pub log: LogSettings,
}

/// Connections on which calls are served in batches. The defaults suit two cores shared with
/// Postgres; `claim-bench compare --only sizes` measures what others do.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Lanes and batches")]
pub struct LaneSettings {
    /// Connections that decide mints, dones, revokes and signals; 1 to 32
    ///
    /// More: batches are decided side by side, which pays where Postgres has idle cores; there is
    /// less of each batch to share a commit. Fewer: one slow commit holds all decisions up.
    #[arg(
        long,
        env = "CLAIM_DECISION_LANES",
        value_name = "CLAIM_DECISION_LANES",
        default_value_t = LaneSettings::default().decision_lanes
    )]
    pub decision_lanes: usize,

    /// Most decisions of one transaction; 1 to 4096
    ///
    /// More: fewer commits when many wait, and each caller waits for more of the others.
    #[arg(
        long,
        env = "CLAIM_DECISION_BATCH",
        value_name = "CLAIM_DECISION_BATCH",
        default_value_t = LaneSettings::default().decision_batch
    )]
    pub decision_batch: usize,

    /// Connections that renew leases; 1 to 32
    ///
    /// More: heartbeats of many holders are renewed side by side. Fewer: one slow commit holds all
    /// heartbeats up.
    #[arg(
        long,
        env = "CLAIM_HEARTBEAT_LANES",
        value_name = "CLAIM_HEARTBEAT_LANES",
        default_value_t = LaneSettings::default().heartbeat_lanes
    )]
    pub heartbeat_lanes: usize,

    /// Most heartbeats of one statement; 1 to 4096
    ///
    /// More: fewer commits when many wait. Fewer: each heartbeat waits for fewer of the others.
    #[arg(
        long,
        env = "CLAIM_HEARTBEAT_BATCH",
        value_name = "CLAIM_HEARTBEAT_BATCH",
        default_value_t = LaneSettings::default().heartbeat_batch
    )]
    pub heartbeat_batch: usize,
}

impl Default for LaneSettings {
    fn default() -> Self {
        let StoreSettings {
            decision_lanes, decision_batch, heartbeat_lanes, heartbeat_batch, ..
        } = StoreSettings::default();
        Self { decision_lanes, decision_batch, heartbeat_lanes, heartbeat_batch }
    }
}

impl LaneSettings {
    fn check(self) -> Result<(), WrongSetting> {
        for (name, value, bounds) in [
            ("CLAIM_DECISION_LANES", self.decision_lanes, LANES),
            ("CLAIM_DECISION_BATCH", self.decision_batch, BATCH),
            ("CLAIM_HEARTBEAT_LANES", self.heartbeat_lanes, LANES),
            ("CLAIM_HEARTBEAT_BATCH", self.heartbeat_batch, BATCH),
        ] {
            if !bounds.contains(&value) {
                let problem = format!("must be {} to {}", bounds.start(), bounds.end());
                return Err(WrongSetting::new(name, problem));
            }
        }
        Ok(())
    }

    /// What the store is to do, under this name.
    #[must_use]
    pub fn of_store(self, program: String) -> StoreSettings {
        let Self { decision_lanes, decision_batch, heartbeat_lanes, heartbeat_batch } = self;
        StoreSettings {
            program,
            decision_lanes,
            decision_batch,
            heartbeat_lanes,
            heartbeat_batch,
            ..StoreSettings::default()
        }
    }
}

/// The form of the log, of every subcommand.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogSettings {
    /// Form of the log: text or json [default: json where standard error is no terminal]
    ///
    /// It goes to standard error. RUST_LOG filters it.
    #[arg(long, env = "CLAIM_LOG_FORMAT", value_name = "CLAIM_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl LogSettings {
    /// The form that was asked for, or the one that suits standard error.
    #[must_use]
    pub fn format(self) -> LogFormat {
        self.log_format.unwrap_or_else(LogFormat::of_this_terminal)
    }
}

/// Settings that have been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// Where the gRPC services listen.
    pub listen: SocketAddr,
    /// Where `/livez` and `/readyz` are served.
    pub metrics_listen: SocketAddr,
    /// How long lapsed claims are protected after an outage (R6).
    pub outage_grace: Duration,
    /// How long calls in flight may take to finish once the end was asked for.
    pub shutdown_grace: Duration,
    /// How calls share connections and transactions.
    pub lanes: LaneSettings,
    /// How the connections of the gRPC services are carried.
    pub transport: Transport,
    /// Their bounds.
    pub connections: ConnectionSettings,
    /// Who may call.
    pub access: AccessConfig,
    /// What tenants and callers may use at most; none: no limits.
    pub quota: Option<QuotaFile>,
}

impl ServeSettings {
    /// Checks bounds and relations, and finds the database in the environment. Names the first
    /// setting that is wrong.
    pub fn check(&self) -> Result<Config, WrongSetting> {
        self.with_database(database_from_environment()?)
    }

    /// As [`ServeSettings::check`], with a database that is known already.
    pub fn with_database(&self, database: Database) -> Result<Config, WrongSetting> {
        if self.outage_grace > OUTAGE_GRACE_MAX {
            return Err(WrongSetting::new("CLAIM_OUTAGE_GRACE", "must be at most 24h"));
        }
        if self.shutdown_grace > SHUTDOWN_GRACE_MAX {
            return Err(WrongSetting::new("CLAIM_SHUTDOWN_GRACE", "must be at most 10m"));
        }
        if self.metrics_listen == self.listen && self.listen.port() != 0 {
            let problem = format!("must not be CLAIM_LISTEN too, {}", self.listen);
            return Err(WrongSetting::new("CLAIM_METRICS_LISTEN", problem));
        }
        self.lanes.check()?;
        let transport = self.transport.check(self.listen)?;
        Ok(Config {
            database,
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            outage_grace: self.outage_grace,
            shutdown_grace: self.shutdown_grace,
            lanes: self.lanes,
            access: self.access.check(self.listen, transport.knows_clients())?,
            transport,
            connections: self.connections.check()?,
            quota: self.quota.check()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeSettings,
    }

    fn settings(flags: &[&str]) -> ServeSettings {
        let arguments = ["claim-server"].iter().chain(flags);
        Program::try_parse_from(arguments).unwrap().serve
    }

    fn check(flags: &[&str]) -> Result<Config, WrongSetting> {
        let database = Database::parse("postgres://user@localhost/claims").unwrap();
        settings(flags).with_database(database)
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = check(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:9464");
        assert_eq!(config.outage_grace, Duration::from_secs(30));
        assert_eq!(config.shutdown_grace, Duration::from_secs(20));
        let store = config.lanes.of_store("test".to_owned());
        assert_eq!((store.decision_lanes, store.decision_batch), (2, 128));
        assert_eq!((store.heartbeat_lanes, store.heartbeat_batch), (2, 1024));
    }

    #[test]
    fn a_setting_out_of_bounds_is_refused_by_its_name() {
        for (flags, name) in [
            (["--outage-grace=25h", "--shutdown-grace=0"], "CLAIM_OUTAGE_GRACE"),
            (["--outage-grace=0", "--shutdown-grace=11m"], "CLAIM_SHUTDOWN_GRACE"),
            (["--decision-lanes=0", "--heartbeat-lanes=2"], "CLAIM_DECISION_LANES"),
            (["--decision-batch=4097", "--decision-lanes=32"], "CLAIM_DECISION_BATCH"),
            (["--heartbeat-lanes=33", "--heartbeat-batch=1"], "CLAIM_HEARTBEAT_LANES"),
            (["--heartbeat-batch=0", "--heartbeat-lanes=1"], "CLAIM_HEARTBEAT_BATCH"),
            (["--listen=[::1]:7", "--metrics-listen=[::1]:7"], "CLAIM_METRICS_LISTEN"),
        ] {
            assert_eq!(check(&flags).unwrap_err().name, name);
        }
    }

    #[test]
    fn two_free_ports_are_not_the_same_port() {
        assert!(check(&["--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"]).is_ok());
    }
}
