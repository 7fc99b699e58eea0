//! A private Postgres cluster, started from the programs installed on this machine: for
//! `claim-server dev` and for tests.
//!
//! | | [`Cluster::ephemeral`] | [`Cluster::durable`] |
//! |---|---|---|
//! | for | tests, `dev --ephemeral` | `dev` |
//! | lies | in memory or in the temporary folder | in the folder given |
//! | settings | nothing survives a crash of the machine | Postgres's own, safe ones |
//! | at the end of the process | stopped at once and removed | stopped in good order and kept |
//!
//! Both listen on a Unix socket only, in a folder closed to other accounts, so that no port can be
//! taken and no password is needed; those that are reached over TCP, for measurements and tests of
//! encryption, are the exception.
//! Both end with the process that started them, even by SIGKILL (`server`). Both work for root, who
//! hands them to an unprivileged account (`account`).
//!
//! "Gone" is told by open descriptors, because process ids are reused and files outlive their
//! writers: every process of a server inherits a *life token*, and what has to wait for its end
//! waits for the last copy to be closed (`lock`, `remover`).
//!
//! This module blocks: in async code, call it from `spawn_blocking`.

mod account;
mod data;
mod error;
mod locate;
mod lock;
mod place;
mod remover;
mod server;
mod wait;

use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use account::Account;
use error::At;
use place::Place;
use remover::Remover;
use server::{Launch, Server, Stop};

pub use error::ClusterError;
pub use locate::PostgresPrograms;

/// Settings of a throw-away cluster. Commits stay synchronous: with `fsync` off that costs a copy
/// into the kernel, and in return what was committed survives [`Cluster::stop_immediately`], so
/// that tests can take the database away and believe it.
const THROW_AWAY_SETTINGS: [&str; 7] = [
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=64MB",
    // Tests run in parallel, each with pools of its own.
    "max_connections=300",
];

/// A Postgres cluster of this process. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    programs: PostgresPrograms,
    account: Account,
    place: Place,
    log: File,
    /// `None` while stopped.
    server: Option<Server>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Ephemeral(Remover),
    /// The lock by which a second process learns that this one has the cluster; released by the
    /// kernel.
    Durable {
        _in_use: File,
    },
}

impl Cluster {
    /// Starts a throw-away cluster in a new folder, which is removed when it is dropped or this
    /// process ends.
    ///
    /// # Errors
    /// If no place, account or start can be had; a failed start shows the end of the server's log.
    pub fn ephemeral(programs: PostgresPrograms) -> Result<Self, ClusterError> {
        Self::ephemeral_at(programs, None)
    }

    /// The same, reached over TCP as [`Cluster::durable_over_tcp`] is: for tests of encryption, of
    /// which a Unix socket has none.
    ///
    /// # Errors
    /// As for [`Cluster::ephemeral`]; a port that is taken is a failed start.
    #[cfg(any(test, feature = "testing"))]
    pub fn ephemeral_over_tcp(programs: PostgresPrograms, port: u16) -> Result<Self, ClusterError> {
        Self::ephemeral_at(programs, Some(port))
    }

    fn ephemeral_at(programs: PostgresPrograms, tcp: Option<u16>) -> Result<Self, ClusterError> {
        let account = Account::for_cluster()?;
        let place = Place { tcp, ..Place::ephemeral(&account)? };
        let remover = Remover::start(&account, &place.folder)?;
        // Created, never opened: the folder is another account's already, who could have put a link
        // there.
        let log = File::options()
            .create_new(true)
            .append(true)
            .open(&place.log)
            .at("create", &place.log)?;
        data::copy_golden(&programs, &account, &place.data, remover.token()?)?;
        let kind = Kind::Ephemeral(remover);
        Self { programs, account, place, log, server: None, kind }.started()
    }

    /// Starts the cluster kept in `folder`, which is made if it does not exist. It is safe to kill
    /// at any time.
    ///
    /// If the account it runs as cannot use `folder`, it lies below `/var/tmp`, and the file
    /// `LOCATION` beside `folder` says where.
    ///
    /// # Errors
    /// If another process has it, if its data are of another version, or as for
    /// [`Cluster::ephemeral`].
    pub fn durable(programs: PostgresPrograms, folder: &Path) -> Result<Self, ClusterError> {
        Self::durable_at(programs, folder, None)
    }

    /// The same, reached over TCP at a port of 127.0.0.1 that must be free: for measurements, which
    /// are to have what a database on another machine would have. Any account of this machine can
    /// connect.
    ///
    /// # Errors
    /// As for [`Cluster::durable`]; a port that is taken is a failed start.
    pub fn durable_over_tcp(
        programs: PostgresPrograms,
        folder: &Path,
        port: u16,
    ) -> Result<Self, ClusterError> {
        Self::durable_at(programs, folder, Some(port))
    }

    fn durable_at(
        programs: PostgresPrograms,
        folder: &Path,
        tcp: Option<u16>,
    ) -> Result<Self, ClusterError> {
        let account = Account::for_cluster()?;
        let place = Place { tcp, ..Place::durable(folder, &account)? };
        let in_use = lock::take_folder(&place)?;
        let log = lock::take_log(&place)?;
        data::initialise_once(&programs, &account, &place, &log)?;
        if !place.socket_folder.exists() {
            place::create_new_folder(&place.socket_folder)?;
            account.give(&place.socket_folder)?;
        }
        let kind = Kind::Durable { _in_use: in_use };
        Self { programs, account, place, log, server: None, kind }.started()
    }

    fn started(mut self) -> Result<Self, ClusterError> {
        self.start()?;
        Ok(self)
    }

    /// The URL of one of its databases, for tokio-postgres and for `psql`; the same after each
    /// start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let host = match self.place.tcp {
            None => percent_encoded(self.place.socket_folder.as_os_str().as_bytes()),
            Some(_) => "127.0.0.1".to_owned(),
        };
        format!(
            "postgres://{}@{host}:{}/{}",
            data::SUPERUSER,
            self.place.port(),
            percent_encoded(database.as_bytes()),
        )
    }

    /// The folder that holds it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.place.log
    }

    /// Starts it again after a stop, with the same data under the same URL. Does nothing if it was
    /// not stopped.
    ///
    /// # Errors
    /// If the server does not start; the error shows the end of its log.
    pub fn start(&mut self) -> Result<(), ClusterError> {
        if self.server.is_some() {
            return Ok(());
        }
        let (settings, token) = match &self.kind {
            Kind::Ephemeral(remover) => (THROW_AWAY_SETTINGS.as_slice(), remover.token()?),
            Kind::Durable { .. } => {
                let log = self.log.try_clone().at("duplicate", &self.place.log)?;
                ([].as_slice(), OwnedFd::from(log))
            }
        };
        self.server = Some(Server::start(Launch {
            programs: &self.programs,
            account: &self.account,
            place: &self.place,
            settings,
            log: &self.log,
            token,
            at_end: self.stop_at_end(),
        })?);
        Ok(())
    }

    /// Stops it: a durable cluster in good order, an ephemeral one at once. [`Cluster::start`]
    /// continues with the same data.
    ///
    /// # Errors
    /// If the server is still there after the limit.
    pub fn stop(&mut self) -> Result<(), ClusterError> {
        self.stop_how(self.stop_at_end())
    }

    /// Takes the server away as a crash would: connections break, and the next start replays the
    /// write-ahead log.
    ///
    /// # Errors
    /// If the server is still there after the limit.
    pub fn stop_immediately(&mut self) -> Result<(), ClusterError> {
        self.stop_how(Stop::Immediate)
    }

    fn stop_how(&mut self, how: Stop) -> Result<(), ClusterError> {
        self.server.take().map_or(Ok(()), |server| server.stop(how, &self.place))
    }

    fn stop_at_end(&self) -> Stop {
        match self.kind {
            Kind::Ephemeral(_) => Stop::Immediate,
            Kind::Durable { .. } => Stop::Fast,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            let folder = self.place.folder.display();
            tracing::warn!(%folder, "cannot stop the cluster in {folder}: {error}");
        }
    }
}

/// Every byte encoded that is not a letter, a digit or one of `-._~`: a path's slashes would end
/// the host.
fn percent_encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn a_path_in_a_url_has_no_slash_left() {
        assert_eq!(percent_encoded(b"/tmp/a b-1"), "%2Ftmp%2Fa%20b-1");
        assert_eq!(percent_encoded("ä".as_bytes()), "%C3%A4");
    }
}
