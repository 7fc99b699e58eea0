//! Data folders: made by `initdb`, or for throw-away clusters copied from one that `initdb` made
//! earlier.
//!
//! `initdb` takes a third of a second and more, a copy a twentieth. So the first throw-away cluster
//! leaves a *golden copy* in the temporary folder, which is never started, and the later ones copy
//! it. Several processes may want the first one at the same time; a file lock lets one of them make
//! it.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::account::{Account, check_owner};
use super::error::{At, ClusterError};
use super::locate::PostgresPrograms;
use super::place::{self, Place};

/// The superuser of every private cluster; whoever reaches the socket is trusted, and only its
/// account and root do.
pub(super) const SUPERUSER: &str = "postgres";

/// What every cluster is made with. The C locale sorts alike on every machine.
const OPTIONS: [&str; 5] =
    ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"];

/// What is added where nothing has to last: no flush to disk, and write-ahead log files of 1 MiB
/// instead of 16 to copy.
const THROW_AWAY: [&str; 2] = ["--no-sync", "--wal-segsize=1"];

/// Fills the data folder of a throw-away cluster from the golden copy. `token` is the life token,
/// held while copying.
pub(super) fn copy_golden(
    programs: &PostgresPrograms,
    account: &Account,
    to: &Path,
    token: OwnedFd,
) -> Result<(), ClusterError> {
    let golden = golden(programs, account)?;
    // The token comes as an input which cp does not read: were this process killed now, the folder
    // would otherwise be removed under a living cp.
    account.run(account.command("cp").arg("-a").arg(golden).arg(to).stdin(token))
}

/// The golden copy for these programs, options and account, made now if there is none.
fn golden(programs: &PostgresPrograms, account: &Account) -> Result<PathBuf, ClusterError> {
    let cache = place::cache_folder(account)?;
    let owner = account.uid().to_string();
    let mut key = vec![
        programs.folder().as_os_str().as_bytes(),
        programs.release().as_bytes(),
        owner.as_bytes(),
    ];
    key.extend(OPTIONS.iter().chain(&THROW_AWAY).map(|option| option.as_bytes()));
    let golden = cache.join(format!("{}-{:016x}", programs.version(), place::hash(key)));
    let lock_path = cache.join("lock");
    let lock = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&lock_path)
        .at("open", &lock_path)?;
    lock.lock().at("lock", &lock_path)?;
    // Temporary folders are swept of old files, and not of the newer folders around them: ask for a
    // file.
    if !golden.join("global/pg_control").exists() {
        remove(&golden)?;
        initialise(programs, account, &golden, &THROW_AWAY, &lock)?;
    }
    Ok(golden)
}

/// Makes the data folder of a durable cluster, or checks the one that is there. The caller holds
/// `lock`.
pub(super) fn initialise_once(
    programs: &PostgresPrograms,
    account: &Account,
    place: &Place,
    lock: &File,
) -> Result<(), ClusterError> {
    if !place.data.exists() {
        return initialise(programs, account, &place.data, &[], lock);
    }
    check_owner(&place.data, account.uid())?;
    let path = place.data.join("PG_VERSION");
    let version = fs::read_to_string(&path).at("read", &path)?;
    if version.trim() == programs.version().to_string() {
        return Ok(());
    }
    Err(ClusterError::OtherVersion {
        folder: place.data.clone(),
        data: version.trim().to_owned(),
        programs: programs.version(),
    })
}

/// Runs `initdb` under another name and renames at the end, so that a data folder is whole or is
/// not there.
fn initialise(
    programs: &PostgresPrograms,
    account: &Account,
    data: &Path,
    more: &[&str],
    lock: &File,
) -> Result<(), ClusterError> {
    let unfinished = data.with_extension("unfinished");
    remove(&unfinished)?;
    place::create_new_folder(&unfinished)?;
    account.give(&unfinished)?;
    let mut command = account.command(programs.initdb());
    command.args(OPTIONS).args(more).arg("-D").arg(&unfinished);
    // As its input initdb gets the lock, which it does not read but holds: were this process killed
    // now, the next one would otherwise remove the folder under a living initdb.
    command.stdin(lock.try_clone().at("duplicate the lock for", data)?);
    account.run(&mut command)?;
    fs::rename(&unfinished, data).at("rename to", data)
}

fn remove(folder: &Path) -> Result<(), ClusterError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", folder),
    }
}
