//! Who has a durable cluster: one process at a time, and no server but its own.
//!
//! Two locks, both given up by the kernel. The first is this process's alone, so a second process
//! fails at once and can name it. The second is on the log, which every process of the server
//! inherits: after a process was killed, the next one waits until that one's server has written its
//! data and gone.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process;

use super::error::{At, ClusterError};
use super::place::Place;
use super::server::{START_LIMIT, timed_out};
use super::wait;

/// A log longer than this is emptied at the next start: it is for looking up why something failed
/// just now.
const LOG_LIMIT_BYTES: u64 = 1 << 20;

/// Takes the folder for this process, and leaves the process id for the error of the next one.
pub(super) fn take_folder(place: &Place) -> Result<File, ClusterError> {
    let path = place.folder.join("in-use-by");
    let mut file = open_private(&path)?;
    if !try_lock(&file, &path)? {
        let pid = fs::read_to_string(&path).at("read", &path)?;
        return Err(ClusterError::InUse {
            folder: place.folder.clone(),
            pid: pid.trim().to_owned(),
        });
    }
    file.set_len(0).at("empty", &path)?;
    writeln!(file, "{}", process::id()).at("write", &path)?;
    Ok(file)
}

/// Opens the log and locks it, waiting for the server of an earlier process.
pub(super) fn take_log(place: &Place) -> Result<File, ClusterError> {
    let log = open_private(&place.log)?;
    let mut refused = None;
    let ended = wait::until(START_LIMIT, || match try_lock(&log, &place.log) {
        Ok(taken) => taken,
        Err(error) => {
            refused = Some(error);
            true
        }
    });
    if let Some(error) = refused {
        return Err(error);
    }
    if !ended {
        return Err(timed_out("the server before this one did not end", START_LIMIT, place, 0));
    }
    if log.metadata().at("look at", &place.log)?.len() > LOG_LIMIT_BYTES {
        log.set_len(0).at("empty", &place.log)?;
    }
    Ok(log)
}

fn open_private(path: &Path) -> Result<File, ClusterError> {
    File::options().create(true).append(true).mode(0o600).open(path).at("open", path)
}

fn try_lock(file: &File, path: &Path) -> Result<bool, ClusterError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path),
    }
}
