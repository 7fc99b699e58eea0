//! Every setting of `claim-server serve`, its default, and what goes wrong when it is off. All are
//! checked before anything binds.

use claims::program::{LogFormat, WrongSetting, database_from_environment, parse_length};
use claims::store::Database;
use clap::Args;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest outage grace; the database keeps no longer one.
const OUTAGE_GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest shutdown grace: whoever waits longer for a server to end kills it.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(10 * 60);

/// Settings of `serve`, as flags and environment variables alike.
#[derive(Clone, Debug, Args)]
pub struct ServeSettings {
    /// Where the gRPC services listen: IP address and port
    ///
    /// Port 0 takes a free one; the ready line tells which. On 0.0.0.0 everybody who
    /// reaches this machine reaches the service, which asks for no credentials.
    #[arg(
        long,
        env = "CLAIM_LISTEN",
        value_name = "CLAIM_LISTEN",
        default_value = "127.0.0.1:50051"
    )]
    pub listen: SocketAddr,

    /// Where /livez and /readyz are served over HTTP: IP address and port
    ///
    /// Port 0 takes a free one. Keep it from the public: it tells how the service is doing.
    #[arg(
        long,
        env = "CLAIM_METRICS_LISTEN",
        value_name = "CLAIM_METRICS_LISTEN",
        default_value = "127.0.0.1:9464"
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

    #[command(flatten)]
    /// The form of the log.
    pub log: LogSettings,
}

/// The form of the log, of every subcommand.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogSettings {
    /// Form of the log on standard error: text or json [default: json where that is no terminal]
    ///
    /// RUST_LOG filters it.
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
        Ok(Config {
            database,
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            outage_grace: self.outage_grace,
            shutdown_grace: self.shutdown_grace,
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
    }

    #[test]
    fn a_setting_out_of_bounds_is_refused_by_its_name() {
        for (flags, name) in [
            (["--outage-grace=25h", "--shutdown-grace=0"], "CLAIM_OUTAGE_GRACE"),
            (["--outage-grace=0", "--shutdown-grace=11m"], "CLAIM_SHUTDOWN_GRACE"),
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
