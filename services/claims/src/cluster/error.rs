//! What can keep a private cluster from running, each as one line that says what to do about it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of a log or of a program's output an error repeats: enough for Postgres's message and
/// its hint.
const TAIL_LINES: usize = 12;

/// Why a private cluster could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No folder of the search holds the server programs.
    #[error(
        "no Postgres server programs (initdb, postgres) in PG_BIN_DIR, `pg_config --bindir`, PATH or {}: \
         install them, for example with `apt-get install postgresql`", .distributions.join("*/bin").display()
    )]
    NoPrograms {
        /// The folder of the distribution's versions which was searched last.
        distributions: PathBuf,
    },
    /// `PG_BIN_DIR` is set to a folder without the programs; it is an order, so nothing else is
    /// tried.
    #[error("PG_BIN_DIR is {}, which does not hold the Postgres server programs initdb and postgres", .0.display())]
    WrongBinDir(PathBuf),
    /// The only server programs found are older than this service supports.
    #[error(
        "the Postgres programs in {} are version {found}, but at least version {required} is needed: \
         install a newer one, for example with `apt-get install postgresql`", .folder.display()
    )]
    TooOld {
        /// Where they are.
        folder: PathBuf,
        /// Their major version.
        found: u32,
        /// The oldest supported major version.
        required: u32,
    },
    /// `postgres --version` did not answer in the form known.
    #[error("{} --version answered {answer:?}, which names no Postgres version", .program.display())]
    UnknownVersion {
        /// The program asked.
        program: PathBuf,
        /// What it said.
        answer: String,
    },
    /// Started as root, and there is no account to hand the cluster to.
    #[error(
        "Postgres refuses to run as root and neither of the accounts `postgres` and `nobody` exists: \
         name an unprivileged account in CLAIM_DEV_USER"
    )]
    NoAccount,
    /// `CLAIM_DEV_USER` names no account, or root.
    #[error("CLAIM_DEV_USER is {0:?}, which is not an unprivileged account of this machine")]
    WrongAccount(String),
    /// No folder that the account can reach and whose socket path is short enough.
    #[error(
        "found no folder for the cluster that the account {account} can enter and whose path is short enough for a socket; \
         tried {tried}"
    )]
    NoPlace {
        /// Who must be able to enter.
        account: String,
        /// The folders tried.
        tried: String,
    },
    /// The folder is another account's: its content cannot be trusted or used.
    #[error("{} belongs to the account with id {found}, not to {expected}: remove it or run as its owner", .folder.display())]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        found: u32,
        /// Who should own it.
        expected: u32,
    },
    /// Another process has this durable cluster.
    #[error("the cluster in {} is in use by the process {pid}: stop that one first", .folder.display())]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
        /// The process, as it noted itself in the folder.
        pid: String,
    },
    /// The data were written by another major version.
    #[error(
        "the data in {} are of Postgres {data}, the programs found are version {programs}: \
         set PG_BIN_DIR to programs of version {data}, or remove the folder to start empty", .folder.display()
    )]
    OtherVersion {
        /// The data folder.
        folder: PathBuf,
        /// The major version which wrote it.
        data: String,
        /// The major version found on this machine.
        programs: u32,
    },
    /// A program could not be started at all.
    #[error("cannot run {} as the account {account}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The account it should run as.
        account: String,
        /// Why not.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{} failed: {output}", .program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The end of what it said.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("Postgres did not start; the end of {}: {tail}", .log.display())]
    Start {
        /// Its log.
        log: PathBuf,
        /// The end of that log.
        tail: String,
    },
    /// The server, or the one before it in the same folder, took too long.
    #[error("{what} within {} s; the end of {}: {tail}", .limit.as_secs(), .log.display())]
    TimedOut {
        /// What did not happen.
        what: &'static str,
        /// The limit.
        limit: Duration,
        /// The server's log.
        log: PathBuf,
        /// The end of that log.
        tail: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Names the path and the deed in a file system error, which by itself names neither.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ClusterError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ClusterError> {
        self.map_err(|source| ClusterError::Io { action, path: path.to_owned(), source })
    }
}

/// The last lines of a text, indented, so that an error shows the cause rather than its preamble.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(nothing)".to_owned();
    }
    let mut out = String::new();
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n  {line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn a_tail_keeps_the_last_lines_and_drops_empty_ones() {
        let text: String = (0..30).map(|n| format!("line {n}\n\n")).collect();
        let kept = tail(&text);
        assert_eq!(kept.lines().filter(|line| !line.is_empty()).count(), 12);
        assert!(kept.ends_with("line 29"), "{kept}");
        assert_eq!(tail("\n"), "(nothing)");
    }
}
