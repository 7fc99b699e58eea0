//! Settings come as flags and environment variables alike; secrets never as flags.

use super::Secret;
use crate::store::Database;
use clap::Parser;
use std::io::{self, Write};
use std::time::Duration;

/// What only the environment says, for the end of each program's help: in a flag, a password could be seen by
/// whoever lists processes. Made for terminals of 80 columns.
pub const ENVIRONMENT_HELP: &str = "\
Environment without flags:
  DATABASE_URL       The database, postgres://user:password@host/name. Of several
                     hosts the first that takes writes is used.
                     sslmode=verify-full and sslrootcert=FILE verify who is there.
  DATABASE_URL_FILE  File that holds it, instead
  RUST_LOG           What is logged, as in info,claim_server=debug (each call is
                     told at debug). Without it: info";

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong settings (`EX_USAGE`); nothing was begun.
    WrongSettings = 64,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::WrongSettings => 64,
        })
    }
}

/// A setting that cannot be used. Prints as the one line that its program ends with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct WrongSetting {
    /// The setting, by the name of its environment variable.
    pub name: &'static str,
    /// What is wrong; never the value of a secret.
    pub problem: String,
}

impl WrongSetting {
    /// Names a setting and what is wrong with it.
    pub fn new(name: &'static str, problem: impl Into<String>) -> Self {
        Self { name, problem: problem.into() }
    }
}

impl WrongSetting {
    /// Prints the one line and gives the exit code.
    #[must_use]
    pub fn report(&self) -> std::process::ExitCode {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(io::stderr(), "{self}");
        ExitCode::WrongSettings.into()
    }
}

/// Reads flags and environment. `--help` and `--version` end with 0; a wrong or unknown setting
/// ends with 64 and one line that names it.
pub fn parse_command_line<S: Parser>() -> Result<S, std::process::ExitCode> {
    S::try_parse().map_err(|error| {
        if !error.use_stderr() {
            // Help and version; a closed standard output is the reader's choice.
            let _ = error.print();
            return ExitCode::Done.into();
        }
        let text = error.to_string();
        let line = text.lines().next().unwrap_or("wrong settings");
        let _ = writeln!(io::stderr(), "{}", line.strip_prefix("error: ").unwrap_or(line));
        ExitCode::WrongSettings.into()
    })
}

/// A length of time as settings write it: `500ms`, `30s`, `5m`, `7d`; `0` is none.
pub fn parse_length(value: &str) -> Result<Duration, String> {
    if value == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(value).map_err(|error| format!("{error}; write 500ms, 30s, 5m or 7d"))
}

/// The database of `DATABASE_URL`, or of the file that `DATABASE_URL_FILE` names.
pub fn database_from_environment() -> Result<Database, WrongSetting> {
    let found = Secret::from_environment("DATABASE_URL", "DATABASE_URL_FILE")?;
    let Some((name, url)) = found else {
        let problem = "is not set; it names the database, postgres://user@host/name";
        return Err(WrongSetting::new("DATABASE_URL", problem));
    };
    Database::parse(url.reveal()).map_err(|error| WrongSetting::new(name, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_they_are_documented() {
        for (text, length) in [
            ("0", Duration::ZERO),
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("5m", Duration::from_secs(300)),
            ("7d", Duration::from_secs(7 * 86_400)),
        ] {
            assert_eq!(parse_length(text), Ok(length), "{text}");
        }
    }

    #[test]
    fn a_length_without_a_unit_or_below_zero_is_refused() {
        for text in ["", "30", "-5s", "soon", "5 parsecs"] {
            assert!(parse_length(text).is_err(), "{text:?}");
        }
    }
}
