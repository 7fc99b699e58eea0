//! Removes a throw-away cluster's folder when nobody is left who could write to it.
//!
//! A shell reads a pipe until it ends. Copies of the other end are held by this process and by
//! every process of the server (their *life token*); when the last one is closed, by whatever
//! death, the shell removes the folder.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::account::Account;
use super::error::{At, ClusterError};
use super::wait;

/// Longest wait for the removal; a folder in memory is gone within milliseconds.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

const REMOVE_AT_END: &str = "cat >/dev/null; rm -rf -- \"$1\"";

#[derive(Debug)]
pub(super) struct Remover {
    /// `None` only while it is dropped.
    token: Option<OwnedFd>,
    shell: Child,
    folder: PathBuf,
}

impl Remover {
    pub(super) fn start(account: &Account, folder: &Path) -> Result<Self, ClusterError> {
        let (reader, writer) = io::pipe().at("open a pipe for", folder)?;
        let shell = account
            .command("sh")
            .args(["-c", REMOVE_AT_END, "claim-postgres-remover"])
            .arg(folder)
            // A signal from the terminal must not end it before its time.
            .process_group(0)
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| account.cannot_run(Path::new("sh"), source))?;
        Ok(Self { token: Some(writer.into()), shell, folder: folder.to_owned() })
    }

    /// A copy for the server to inherit.
    pub(super) fn token(&self) -> Result<OwnedFd, ClusterError> {
        let token = self.token.as_ref().ok_or_else(|| io::ErrorKind::BrokenPipe.into());
        token.and_then(OwnedFd::try_clone).at("duplicate the life token for", &self.folder)
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.token = None;
        if !wait::until(REMOVAL_LIMIT, || !matches!(self.shell.try_wait(), Ok(None))) {
            let folder = self.folder.display();
            tracing::warn!(%folder, "the folder {folder} is still in use and not yet removed");
        }
    }
}
