//! Who runs the cluster. Postgres refuses to run as root, so root hands it to an unprivileged
//! account: `CLAIM_DEV_USER`, else `postgres`, else `nobody`. Everybody else runs it as themselves.
//!
//! Only children change their account, through the standard library's `uid` and `gid`, which drop
//! the supplementary groups as well; this process keeps its own.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{At, ClusterError, tail};

/// The accounts which root tries, best first: the package's own, then the one every system has.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account that owns a cluster's data and runs its programs.
#[derive(Clone, Debug)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// The account of this process, which differs only for root.
    caller: u32,
}

impl Account {
    /// This process's account, or for root the unprivileged one which stands in for it.
    pub(super) fn for_cluster() -> Result<Self, ClusterError> {
        let Some(caller) = id("-u", None) else {
            return Err(ClusterError::Program {
                program: "id".into(),
                output: "names no account".to_owned(),
            });
        };
        if caller != 0 {
            let gid = id("-g", None).unwrap_or(caller);
            return Ok(Self { name: format!("with id {caller}"), uid: caller, gid, caller });
        }
        match env::var("CLAIM_DEV_USER").ok().filter(|name| !name.is_empty()) {
            Some(name) => Self::unprivileged(&name).ok_or(ClusterError::WrongAccount(name)),
            None => UNPRIVILEGED
                .iter()
                .find_map(|name| Self::unprivileged(name))
                .ok_or(ClusterError::NoAccount),
        }
    }

    fn unprivileged(name: &str) -> Option<Self> {
        let uid = id("-u", Some(name)).filter(|uid| *uid != 0)?;
        Some(Self { name: name.to_owned(), uid, gid: id("-g", Some(name))?, caller: 0 })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// The account of this process.
    pub(super) fn caller(&self) -> u32 {
        self.caller
    }

    /// The permissions of a folder of this process below which the account has folders of its own.
    pub(super) fn passage_mode(&self) -> u32 {
        if self.uid == self.caller { 0o700 } else { 0o711 }
    }

    /// A command run by the account, from a folder everybody can enter, with messages in English.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Programs resolve their own path against the working directory, and ours may be closed to
        // the account.
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        if self.uid != self.caller {
            command.gid(self.gid).uid(self.uid);
        }
        command
    }

    /// Runs a command of [`Account::command`] to its end.
    pub(super) fn run(&self, command: &mut Command) -> Result<(), ClusterError> {
        let program = PathBuf::from(command.get_program());
        let output = command.output().map_err(|source| self.cannot_run(&program, source))?;
        if output.status.success() {
            return Ok(());
        }
        Err(ClusterError::Program {
            program,
            output: tail(&String::from_utf8_lossy(&output.stderr)),
        })
    }

    pub(super) fn cannot_run(&self, program: &Path, source: std::io::Error) -> ClusterError {
        ClusterError::Spawn { program: program.to_owned(), account: self.name.clone(), source }
    }

    /// Makes the account the owner of a path.
    pub(super) fn give(&self, path: &Path) -> Result<(), ClusterError> {
        if self.uid == self.caller {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).at("hand to the cluster's account", path)
    }

    /// Whether the account gets through every folder above this one. Asked by trying: permissions
    /// alone do not tell.
    pub(super) fn can_enter(&self, folder: &Path) -> Result<bool, ClusterError> {
        let status = self
            .command("sh")
            .args(["-c", "cd -- \"$1\""])
            .arg("sh")
            .arg(folder)
            .stderr(Stdio::null())
            .status()
            .map_err(|source| self.cannot_run(Path::new("sh"), source))?;
        Ok(status.success())
    }
}

/// Refuses a folder that somebody else made: in a shared temporary folder a name can be taken
/// beforehand.
pub(super) fn check_owner(folder: &Path, expected: u32) -> Result<(), ClusterError> {
    let metadata = fs::symlink_metadata(folder).at("look at", folder)?;
    if metadata.is_dir() && metadata.uid() == expected {
        return Ok(());
    }
    Err(ClusterError::ForeignFolder { folder: folder.to_owned(), found: metadata.uid(), expected })
}

/// Asks `id`, which unlike the passwd file also knows accounts of a directory service.
fn id(what: &str, name: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(what).args(name).stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_never_root() {
        assert_ne!(Account::for_cluster().unwrap().uid(), 0);
    }

    #[test]
    fn root_and_unknown_names_are_not_unprivileged_accounts() {
        assert!(Account::unprivileged("root").is_none());
        assert!(Account::unprivileged("no-such-account-here").is_none());
    }
}
