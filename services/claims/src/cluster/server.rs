//! One run of the Postgres server, which ends with this process whatever way that goes.
//!
//! Nothing can be done by a process that gets SIGKILL, so the server is the child of a small shell,
//! its *keeper*, which holds the other end of a pipe to this process. Lines on the pipe are signals
//! to pass on; the end of the pipe, which the kernel brings about, is the order to stop. The keeper
//! is in a process group of its own: an interrupt from the terminal is for this process, which
//! drains first and stops its database last.
//!
//! Ready is the server when the socket accepts and `postmaster.pid` says so. The socket comes first
//! because the file may be one that a killed server left behind, until the new one, before it
//! listens, has written its own.

use std::fs::{self, File};
use std::io::{self, PipeWriter, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use super::account::Account;
use super::error::{At, ClusterError, tail};
use super::locate::PostgresPrograms;
use super::place::{Place, socket_path};
use super::wait;

/// Longest start: seconds on a busy machine, more when a killed server's write-ahead log is
/// replayed.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);

/// Longest stop in good order, which writes everything in memory to disk; after that the server is
/// told to drop it.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(20);

/// Longest immediate stop; Postgres itself kills its processes after five seconds.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(10);

/// `postmaster.pid` tells the server's state in its last line, the eighth.
const STATE_LINE: usize = 7;

/// The keeper. `$1` is the signal for the end of the pipe, the rest is the server's command line.
///
/// A shell starts background jobs with INT and QUIT ignored until the server has set its own
/// handlers, so the last signal is repeated until it is heard. Descriptor 4 is the life token (see
/// [`Launch::token`]), kept open for the server.
const KEEPER: &str = r#"
at_end=$1; shift
exec 3<&0 4>&2
"$@" </dev/null 2>&1 3<&- &
server=$!
{
    while read -r signal <&3; do kill -s "$signal" "$server"; done
    while kill -s "$at_end" "$server"; do sleep 1; done
} >/dev/null 2>&1 4>&- &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;

/// The two ways in which Postgres stops a server with open connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// In good order: everything is written, the next start is quick.
    Fast,
    /// At once, as in a crash of the server: the next start replays the write-ahead log.
    Immediate,
}

impl Stop {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }

    fn limit(self) -> Duration {
        match self {
            Self::Fast => FAST_STOP_LIMIT,
            Self::Immediate => IMMEDIATE_STOP_LIMIT,
        }
    }
}

/// What a server is started with.
pub(super) struct Launch<'a> {
    pub(super) programs: &'a PostgresPrograms,
    pub(super) account: &'a Account,
    pub(super) place: &'a Place,
    /// Settings that differ from Postgres's own, `name=value`.
    pub(super) settings: &'a [&'a str],
    /// Open for appending.
    pub(super) log: &'a File,
    /// A descriptor that every process of the server inherits: as long as it is open, the server is
    /// not quite gone.
    pub(super) token: OwnedFd,
    /// What the end of this process does to the server.
    pub(super) at_end: Stop,
}

/// A server that accepts connections.
#[derive(Debug)]
pub(super) struct Server {
    keeper: Child,
    orders: PipeWriter,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub(super) fn start(launch: Launch<'_>) -> Result<Self, ClusterError> {
        let place = launch.place;
        let log_begins = launch.log.metadata().at("look at", &place.log)?.len();
        let log = launch.log.try_clone().at("duplicate", &place.log)?;
        let (reader, orders) = io::pipe().at("open a pipe for", &place.folder)?;
        let mut command = launch.account.command("sh");
        command.args(["-c", KEEPER, "claim-postgres-keeper", launch.at_end.signal()]);
        command.arg(launch.programs.postgres()).arg("-D").arg(&place.data);
        command.arg("-k").arg(quoted(&place.socket_folder)).args(["-p", &place.port().to_string()]);
        let listen = if place.tcp.is_some() { "127.0.0.1" } else { "" };
        command.args(["-c", &format!("listen_addresses={listen}")]);
        for setting in launch.settings {
            command.args(["-c", setting]);
        }
        command.process_group(0).stdin(reader).stdout(log).stderr(launch.token);
        let keeper =
            command.spawn().map_err(|source| launch.account.cannot_run(Path::new("sh"), source))?;
        let mut server = Self { keeper, orders };
        if let Err(error) = server.wait_until_ready(place, log_begins) {
            // Why it did not start is worth more than that it does not stop either.
            let _ = server.stop(Stop::Immediate, place);
            return Err(error);
        }
        Ok(server)
    }

    fn wait_until_ready(&mut self, place: &Place, log_begins: u64) -> Result<(), ClusterError> {
        let settled = wait::until(START_LIMIT, || is_ready(place) || self.has_ended());
        if !settled {
            return Err(timed_out("Postgres did not start", START_LIMIT, place, log_begins));
        }
        if self.has_ended() {
            return Err(ClusterError::Start {
                log: place.log.clone(),
                tail: log_tail(place, log_begins),
            });
        }
        Ok(())
    }

    /// Stops the server and waits until its keeper has seen it go. A fast stop that takes too long
    /// becomes an immediate one.
    pub(super) fn stop(mut self, how: Stop, place: &Place) -> Result<(), ClusterError> {
        let log_begins = fs::metadata(&place.log).map_or(0, |metadata| metadata.len());
        for how in [how, Stop::Immediate] {
            // A server that has ended by itself leaves a broken pipe, which is as good as stopped.
            let _ = writeln!(self.orders, "{}", how.signal());
            if wait::until(how.limit(), || self.has_ended()) {
                return Ok(());
            }
        }
        Err(timed_out("Postgres did not stop", how.limit(), place, log_begins))
    }

    /// Whether the keeper has ended, and with it the server. It is this process's child, so not
    /// being able to ask is an end too.
    fn has_ended(&mut self) -> bool {
        !matches!(self.keeper.try_wait(), Ok(None))
    }
}

fn is_ready(place: &Place) -> bool {
    UnixStream::connect(socket_path(&place.socket_folder, place.port())).is_ok()
        && fs::read_to_string(place.data.join("postmaster.pid")).is_ok_and(|text| {
            text.lines().nth(STATE_LINE).is_some_and(|state| state.trim() == "ready")
        })
}

/// A folder as one element of a list setting, in which commas and spaces otherwise separate.
fn quoted(folder: &Path) -> String {
    format!("\"{}\"", folder.display().to_string().replace('"', "\"\""))
}

pub(super) fn timed_out(
    what: &'static str,
    limit: Duration,
    place: &Place,
    log_begins: u64,
) -> ClusterError {
    ClusterError::TimedOut {
        what,
        limit,
        log: place.log.clone(),
        tail: log_tail(place, log_begins),
    }
}

/// The end of what was logged since `begins`, in bytes.
fn log_tail(place: &Place, begins: u64) -> String {
    let log = fs::read(&place.log).unwrap_or_default();
    let begins = usize::try_from(begins).unwrap_or(0);
    tail(&String::from_utf8_lossy(log.get(begins..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_separators_stays_one_element() {
        assert_eq!(quoted(Path::new("/a, b/\"c\"")), "\"/a, b/\"\"c\"\"\"");
    }
}
