//! Where a cluster lies: a folder that its account can enter and whose socket path the kernel
//! accepts.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use super::account::{Account, check_owner};
use super::error::{At, ClusterError};

/// The port in the socket's name and in the URL; nothing listens on it, unless TCP was asked for, which
/// gets a free one.
pub(super) const PORT: u16 = 5432;

/// The longest socket path: 107 bytes on Linux, 103 on macOS and the BSDs.
const SOCKET_PATH_BYTES: usize = 103;

/// The memory file system, and how much must be free there: some hundred test databases at 8 MiB
/// each. Containers have only 64 MiB unless told otherwise, and a full one shows as a bus error
/// inside Postgres.
const MEMORY: &str = "/dev/shm";
const MEMORY_NEEDED_KIB: u64 = 1024 * 1024;

/// Where a durable cluster goes if it cannot stay in the project: unlike `/tmp` kept over a restart
/// of the machine.
const KEPT_BETWEEN_RESTARTS: &str = "/var/tmp";

/// The paths of one cluster.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder of everything else.
    pub(super) folder: PathBuf,
    /// Postgres's data folder, owned by the cluster's account.
    pub(super) data: PathBuf,
    /// The folder of the socket, which only the cluster's account and root can enter.
    pub(super) socket_folder: PathBuf,
    /// What Postgres and its keeper say.
    pub(super) log: PathBuf,
    /// A port of 127.0.0.1 on which it listens too; none: the socket only.
    pub(super) tcp: Option<u16>,
}

impl Place {
    /// A new empty folder, mode 0700, for a throw-away cluster: in memory if there is room, else in
    /// the temporary folder.
    pub(super) fn ephemeral(account: &Account) -> Result<Self, ClusterError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            // The number is unique in this process, but another container may share the memory file
            // system and have our process id there; so a taken name is no error.
            let name =
                format!("claim-pg-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match temporary_folder(&name, account, &ephemeral_bases()) {
                Ok(folder) => {
                    return Ok(Self {
                        data: folder.join("data"),
                        socket_folder: folder.clone(),
                        log: folder.join("log"),
                        tcp: None,
                        folder,
                    });
                }
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// `wanted` if it will do, else a folder below `/var/tmp` which belongs to it, with a note
    /// beside `wanted`.
    ///
    /// It will not do if the cluster's account cannot enter it (a project below root's home) or if
    /// it lies so deep that the path of its socket becomes too long.
    pub(super) fn durable(wanted: &Path, account: &Account) -> Result<Self, ClusterError> {
        fs::create_dir_all(wanted).at("create", wanted)?;
        let wanted = fs::canonicalize(wanted).at("resolve", wanted)?;
        let note = wanted.with_file_name("LOCATION");
        if Self::below(&wanted).prepare(account)? {
            let _ = fs::remove_file(&note);
            return Ok(Self::below(&wanted));
        }
        let name = format!(
            "claim-dev-{}-{:016x}",
            account.caller(),
            hash([wanted.as_os_str().as_bytes()])
        );
        let place = Self::below(&Path::new(KEPT_BETWEEN_RESTARTS).join(name));
        create_folder(&place.folder, account.passage_mode())?;
        check_owner(&place.folder, account.caller())?;
        if !place.prepare(account)? {
            return Err(no_place(account, &[wanted, place.folder]));
        }
        fs::write(&note, format!("{}\n", place.folder.display())).at("write", &note)?;
        let (folder, account) = (place.folder.display(), account.name());
        tracing::info!(
            %folder, account, wanted = %wanted.display(),
            "the database lies in {folder}: {} is closed to the account {account}, or too deep",
            wanted.display(),
        );
        Ok(place)
    }

    fn below(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            data: folder.join("data"),
            socket_folder: folder.join("socket"),
            log: folder.join("log"),
            tcp: None,
        }
    }

    /// In the name of the socket, and of TCP.
    pub(super) fn port(&self) -> u16 {
        self.tcp.unwrap_or(PORT)
    }

    /// Opens the way for the account; false if it still cannot use this place.
    fn prepare(&self, account: &Account) -> Result<bool, ClusterError> {
        if !short_enough(&self.socket_folder) {
            return Ok(false);
        }
        set_mode(&self.folder, account.passage_mode())?;
        account.can_enter(&self.folder)
    }
}

/// Creates `name` with mode 0700, owned by the account, in the first of the folders where the
/// account can use it.
fn temporary_folder(
    name: &str,
    account: &Account,
    bases: &[PathBuf],
) -> Result<PathBuf, ClusterError> {
    for base in bases {
        let folder = base.join(name);
        if !base.is_dir() || !short_enough(&folder) {
            continue;
        }
        match create_new_folder(&folder) {
            Err(error) if is_taken(&error) => return Err(error),
            // Not ours to write to, or full: the next one may do.
            Err(_) => continue,
            Ok(()) => {}
        }
        let usable = account.give(&folder).and_then(|()| account.can_enter(&folder));
        if !matches!(usable, Ok(true)) {
            fs::remove_dir(&folder).at("remove", &folder)?;
        }
        if usable? {
            return Ok(folder);
        }
    }
    Err(no_place(account, bases))
}

fn is_taken(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
}

fn ephemeral_bases() -> Vec<PathBuf> {
    let memory = Path::new(MEMORY);
    let in_memory = free_kib(memory).is_some_and(|free| free > MEMORY_NEEDED_KIB);
    in_memory.then(|| memory.to_owned()).into_iter().chain(disk_bases()).collect()
}

/// The temporary folder as configured, and the usual one in case the configured one is private or
/// deep.
fn disk_bases() -> Vec<PathBuf> {
    vec![env::temp_dir(), PathBuf::from("/tmp")]
}

/// A folder of this process's account which lasts between runs, for things that are worth keeping
/// but may be lost.
pub(super) fn cache_folder(account: &Account) -> Result<PathBuf, ClusterError> {
    let name = format!("claim-pg-cache-{}", account.caller());
    for folder in disk_bases().into_iter().map(|base| base.join(&name)) {
        if create_folder(&folder, account.passage_mode()).is_err() {
            continue;
        }
        check_owner(&folder, account.caller())?;
        set_mode(&folder, account.passage_mode())?;
        if account.can_enter(&folder)? {
            return Ok(folder);
        }
    }
    Err(no_place(account, &disk_bases()))
}

/// Creates a folder for the account alone; it must not exist yet.
pub(super) fn create_new_folder(folder: &Path) -> Result<(), ClusterError> {
    DirBuilder::new().mode(0o700).create(folder).at("create", folder)
}

/// Creates a folder unless there is one.
fn create_folder(folder: &Path, mode: u32) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at("create", folder),
    }
}

/// Sets the mode in so many words: what `mkdir` is asked for passes through the umask.
fn set_mode(folder: &Path, mode: u32) -> Result<(), ClusterError> {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
        .at("set the permissions of", folder)
}

fn short_enough(socket_folder: &Path) -> bool {
    socket_path(socket_folder, PORT).as_os_str().as_bytes().len() <= SOCKET_PATH_BYTES
}

/// The socket as Postgres names it.
pub(super) fn socket_path(socket_folder: &Path, port: u16) -> PathBuf {
    socket_folder.join(format!(".s.PGSQL.{port}"))
}

/// Free space of a file system, read from `df -Pk`; `None` if there is no such folder.
fn free_kib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    available_kib(&String::from_utf8_lossy(&output.stdout))
}

fn available_kib(df: &str) -> Option<u64> {
    df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// FNV-1a over the parts: short names that stay the same from one release of Rust to the next,
/// which the standard library's hashes do not promise and a durable cluster's folder needs.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    // A byte that is in no UTF-8 text keeps the parts apart.
    parts
        .into_iter()
        .flat_map(|part| part.iter().chain(&[0xff]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

fn no_place(account: &Account, tried: &[PathBuf]) -> ClusterError {
    let tried: Vec<String> = tried.iter().map(|folder| folder.display().to_string()).collect();
    ClusterError::NoPlace { account: account.name().to_owned(), tried: tried.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_the_fourth_column_of_the_second_line() {
        let df = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                  tmpfs             24684084        7  24684077       1% /dev/shm\n";
        assert_eq!(available_kib(df), Some(24_684_077));
        assert_eq!(available_kib(""), None);
    }

    #[test]
    fn a_folder_has_the_same_name_in_every_release() {
        assert_eq!(hash([b"/home/dev/project/.dev/postgres".as_slice()]), 0xc965_9f19_3067_70fa);
        assert_ne!(hash([b"ab".as_slice(), b"c"]), hash([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn a_socket_path_of_the_limit_is_used_and_one_byte_more_is_not() {
        let name = ".s.PGSQL.5432";
        let longest = "/".to_owned() + &"x".repeat(SOCKET_PATH_BYTES - name.len() - 2);
        assert!(short_enough(Path::new(&longest)));
        assert!(!short_enough(Path::new(&(longest + "x"))));
    }
}
