//! Connections: where the database is, how the way there is encrypted ([`encryption`]), and the
//! settings that every session has.
//!
//! A connection lives as long as it works. Whoever owns one drops it after a failure and asks for
//! another; a database that is away therefore costs a refused connect, never a hang.

mod encryption;
mod parameters;
mod unnamed;

use super::error::TransactionError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use encryption::Encryption;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::config::TargetSessionAttrs;

/// How long one attempt to connect may take, if the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent data may stay unacknowledged by the database's host before the connection counts
/// as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a lane's transaction waits for a stranger's row lock.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// How long one statement may run.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a session may sit in a transaction: frees the locks of a frozen server.
pub const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a round trip may take as seen from here. Above the statement's own timeout, so that
/// only a database or network that does not answer at all runs into it.
pub const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the database is. The URL may hold a password, so it cannot be printed.
#[derive(Clone)]
pub struct Database {
    config: tokio_postgres::Config,
    encryption: Encryption,
}

/// The URL is not one that can be used.
#[derive(Debug, thiserror::Error)]
#[error("not a Postgres URL that can be used: {problem}")]
pub struct InvalidDatabaseUrl {
    problem: String,
}

impl InvalidDatabaseUrl {
    fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into() }
    }
}

impl Database {
    /// Reads a Postgres URL (several hosts understood; one that takes no writes is passed over), and
    /// the file that its `sslrootcert` names. What each `sslmode` means is in `docs/encryption.md`.
    pub fn parse(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        let (url, asked) = parameters::split(url)?;
        let mut config = tokio_postgres::Config::from_str(&url)
            .map_err(|error| InvalidDatabaseUrl::new(error.to_string()))?;
        if config.get_hosts().is_empty() {
            return Err(InvalidDatabaseUrl::new("it names no host"));
        }
        let encryption = Encryption::new(&asked, &config)?;
        config.ssl_mode(encryption.mode);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        // Whatever the URL says. What a standby shows is old, and of the transactions that write on
        // its primary it knows nothing.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, encryption })
    }

    /// Opens a session under `application_name` with the timeouts of this page.
    pub(crate) async fn connect(
        &self,
        application_name: &str,
    ) -> Result<AsyncPgConnection, ConnectError> {
        let mut config = self.config.clone();
        config.application_name(application_name);
        self.encryption.caution();
        let tls = self.encryption.connector.clone();
        let opened = async {
            let (client, connection) = config.connect(tls).await.map_err(ConnectError::Refused)?;
            let mut session = AsyncPgConnection::try_from_client_and_connection(client, connection)
                .await
                .map_err(ConnectError::Setup)?;
            session.batch_execute(&session_settings()).await.map_err(ConnectError::Settings)?;
            Ok(session)
        };
        // Each address has the driver's own timeout; this bounds the talk after it.
        let limit = self.config.get_connect_timeout().map_or(CONNECT_TIMEOUT, |each| {
            let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX);
            each.saturating_mul(hosts)
        });
        match tokio::time::timeout(limit.saturating_add(ROUND_TRIP_TIMEOUT), opened).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut),
        }
    }
}

/// What every session is told at its beginning.
///
/// Plans are made once for each statement and kept, perhaps while the tables are still empty, when
/// reading them whole looks cheapest. Every statement but the reaper's scan finds its rows by key,
/// so the other ways are closed: `force_generic_plan`, because with the real lengths of large
/// arrays the planner tips into sequential scans; no sequential scans, hash or merge joins, so that
/// keys are looked up one by one; no JIT, whose compilation costs more than any of them.
pub(crate) fn session_settings() -> String {
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET plan_cache_mode = force_generic_plan; \
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET jit = off",
        LOCK_TIMEOUT.as_millis(),
        STATEMENT_TIMEOUT.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
    )
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("url", &"<redacted>").finish_non_exhaustive()
    }
}

/// Why no session could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the database refused the connection")]
    Refused(#[source] tokio_postgres::Error),
    #[error("the session could not be set up")]
    Setup(#[source] diesel::ConnectionError),
    #[error("the session's settings were refused")]
    Settings(#[source] diesel::result::Error),
    #[error("the database did not answer in time")]
    TimedOut,
}

/// Runs a statement for the first time on its connection. Each has its own time, since there are many of
/// them, and only a database that stands still is to be given up.
pub(crate) async fn warmed<T>(
    statement: impl Future<Output = diesel::QueryResult<T>>,
) -> Result<(), ConnectError> {
    match tokio::time::timeout(ROUND_TRIP_TIMEOUT, statement).await {
        Ok(run) => run.map(drop).map_err(ConnectError::Settings),
        Err(_) => Err(ConnectError::TimedOut),
    }
}

/// Runs one round trip to the database, bounded by [`ROUND_TRIP_TIMEOUT`].
pub(crate) async fn round_trip<T>(
    in_commit: bool,
    trip: impl Future<Output = T>,
) -> Result<T, TransactionError> {
    tokio::time::timeout(ROUND_TRIP_TIMEOUT, trip)
        .await
        .map_err(|_| TransactionError::TimedOut { in_commit })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A password that nobody encoded, wherever it makes the URL one that cannot be read.
    #[test]
    fn a_url_that_cannot_be_read_is_refused_without_a_piece_of_its_password() {
        for url in [
            "postgres://user:hunter2@host:port/claims",
            "postgres://user:hunter2@host:1/claims?hunter2=hunter2",
            "postgres://us%ff:hunter2@host/claims",
            "host=host password=hunter hunter2=hunter2",
            "host=host password='hunter2",
            "host=host password=hunter2 hunter2",
            "user:hunter2@host",
            "hunter2",
        ] {
            let refused = Database::parse(url).expect_err(url);
            let shown = format!("{refused} {refused:?} {refused:#?}");
            assert!(!shown.contains("hunter"), "{url}: {shown}");
        }
    }

    #[test]
    fn a_database_is_not_printed() {
        let database = Database::parse("postgres://user:hunter2@host/claims").expect("a URL");
        let shown = format!("{database:?} {database:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
    }
}
