//! Which Postgres programs to start: the ones an operator named, else the ones this machine has.
//!
//! The order is `PG_BIN_DIR`, `pg_config --bindir`, `PATH`, `/usr/lib/postgresql/*/bin` with the
//! highest version first. `PG_BIN_DIR` is an order, not a hint: if it is wrong the search ends with
//! an error, because silently testing against another Postgres than the one asked for would be
//! worse than not testing. The other places are hints; a folder without a server (`pg_config` often
//! comes with the client library alone) or with too old a server is passed over.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{At, ClusterError, tail};

/// The oldest major version whose SQL and settings this service uses.
const OLDEST_SUPPORTED: u32 = 14;

/// Where Debian and Ubuntu keep one folder per version, none of them in `PATH`.
const DISTRIBUTIONS: &str = "/usr/lib/postgresql";

/// Installed Postgres server programs of a supported version.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    folder: PathBuf,
    release: String,
    version: u32,
}

impl PostgresPrograms {
    /// Finds `initdb` and `postgres`, version 14 or newer: `PG_BIN_DIR`, `pg_config --bindir`,
    /// `PATH`, `/usr/lib/postgresql/*/bin`.
    ///
    /// # Errors
    /// One line that says what to install or which setting is wrong.
    pub fn locate() -> Result<Self, ClusterError> {
        Search {
            bin_dir: env::var_os("PG_BIN_DIR").filter(|value| !value.is_empty()),
            path: env::var_os("PATH").unwrap_or_default(),
            distributions: PathBuf::from(DISTRIBUTIONS),
        }
        .run()
    }

    /// The major version, such as 17.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The folder of the programs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The full answer of `postgres --version`, which tells minor releases and packagers apart.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// Reads the version of the programs in `folder`, or `None` if one of them is missing.
    fn in_folder(folder: &Path) -> Result<Option<Self>, ClusterError> {
        let postgres = folder.join("postgres");
        if !postgres.is_file() || !folder.join("initdb").is_file() {
            return Ok(None);
        }
        // Absolute, because the programs are started with another working directory than ours.
        let folder = fs::canonicalize(folder).at("resolve", folder)?;
        let release = answer(&postgres, "--version")?;
        let version = major(&release).ok_or_else(|| ClusterError::UnknownVersion {
            program: postgres,
            answer: release.clone(),
        })?;
        Ok(Some(Self { folder, release, version }))
    }

    fn supported(self) -> Result<Self, ClusterError> {
        if self.version < OLDEST_SUPPORTED {
            return Err(ClusterError::TooOld {
                folder: self.folder,
                found: self.version,
                required: OLDEST_SUPPORTED,
            });
        }
        Ok(self)
    }
}

/// The places to look at, as values, so that a test can give its own.
struct Search {
    bin_dir: Option<OsString>,
    path: OsString,
    distributions: PathBuf,
}

impl Search {
    fn run(&self) -> Result<PostgresPrograms, ClusterError> {
        if let Some(folder) = &self.bin_dir {
            return PostgresPrograms::in_folder(Path::new(folder))?
                .ok_or_else(|| ClusterError::WrongBinDir(PathBuf::from(folder)))?
                .supported();
        }
        let mut unsuitable = None;
        for folder in self.hints() {
            match PostgresPrograms::in_folder(&folder)
                .and_then(|found| found.map(PostgresPrograms::supported).transpose())
            {
                Ok(Some(programs)) => return Ok(programs),
                Ok(None) => {}
                Err(error) => unsuitable = unsuitable.or(Some(error)),
            }
        }
        Err(unsuitable.unwrap_or_else(|| ClusterError::NoPrograms {
            distributions: self.distributions.clone(),
        }))
    }

    /// The folders worth a look, best first.
    fn hints(&self) -> Vec<PathBuf> {
        let on_path: Vec<PathBuf> =
            env::split_paths(&self.path).filter(|folder| folder.is_absolute()).collect();
        let named_by_pg_config = on_path
            .iter()
            .map(|folder| folder.join("pg_config"))
            .find(|program| program.is_file())
            .and_then(|program| answer(&program, "--bindir").ok())
            .map(PathBuf::from);
        named_by_pg_config.into_iter().chain(on_path).chain(self.distribution_folders()).collect()
    }

    fn distribution_folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.distributions) else {
            return Vec::new();
        };
        let mut versions: Vec<(u32, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                Some((leading_number(entry.file_name().to_str()?)?, entry.path().join("bin")))
            })
            .collect();
        versions.sort_by(|one, other| other.cmp(one));
        versions.into_iter().map(|(_, folder)| folder).collect()
    }
}

/// What a program says to one argument, without the line end.
fn answer(program: &Path, argument: &str) -> Result<String, ClusterError> {
    let output = Command::new(program)
        .arg(OsStr::new(argument))
        .stdin(Stdio::null())
        .output()
        .at("run", program)?;
    if !output.status.success() {
        return Err(ClusterError::Program {
            program: program.to_owned(),
            output: tail(&String::from_utf8_lossy(&output.stderr)),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The major version in an answer such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or
/// `… 19devel`.
fn major(release: &str) -> Option<u32> {
    leading_number(release.split_once("(PostgreSQL)")?.1.trim_start())
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder of its own below the temporary one, removed at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let folder =
                env::temp_dir().join(format!("claim-locate-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn program(&self, path: &str, says: &str) {
            let file = self.0.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn server(&self, folder: &str, version: &str) {
            self.program(
                &format!("{folder}/postgres"),
                &format!("postgres (PostgreSQL) {version}"),
            );
            self.program(&format!("{folder}/initdb"), "");
        }

        fn search(&self) -> Search {
            Search {
                bin_dir: None,
                path: self.0.join("path").into(),
                distributions: self.0.join("dist"),
            }
        }

        fn found_in(&self, programs: &PostgresPrograms) -> String {
            let root = fs::canonicalize(&self.0).unwrap();
            programs.folder().strip_prefix(root).unwrap().display().to_string()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_version_is_read_from_released_and_unreleased_servers() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("something else 15"), None);
    }

    #[test]
    fn each_place_is_preferred_to_the_ones_after_it() {
        let scratch = Scratch::new("order");
        scratch.server("dist/9.6/bin", "9.6");
        scratch.server("dist/14/bin", "14.1");
        scratch.server("dist/16/bin", "16.1");
        assert_eq!(scratch.found_in(&scratch.search().run().unwrap()), "dist/16/bin");

        scratch.server("path", "15.2");
        assert_eq!(scratch.found_in(&scratch.search().run().unwrap()), "path");

        scratch.server("configured", "14.3");
        scratch.program("path/pg_config", &scratch.0.join("configured").display().to_string());
        assert_eq!(scratch.found_in(&scratch.search().run().unwrap()), "configured");

        scratch.server("named", "17.0");
        let named = Search { bin_dir: Some(scratch.0.join("named").into()), ..scratch.search() };
        let programs = named.run().unwrap();
        assert_eq!((scratch.found_in(&programs).as_str(), programs.version()), ("named", 17));
    }

    #[test]
    fn a_pg_config_without_a_server_is_passed_over() {
        let scratch = Scratch::new("client");
        scratch.program("path/pg_config", &scratch.0.join("client-only").display().to_string());
        scratch.server("dist/16/bin", "16.1");
        assert_eq!(scratch.found_in(&scratch.search().run().unwrap()), "dist/16/bin");
    }

    #[test]
    fn a_wrong_pg_bin_dir_is_not_replaced_by_another_server() {
        let scratch = Scratch::new("wrong");
        scratch.server("path", "16.1");
        let search = Search { bin_dir: Some(scratch.0.clone().into()), ..scratch.search() };
        let error = search.run().unwrap_err();
        assert!(matches!(error, ClusterError::WrongBinDir(_)), "{error:?}");
        assert!(error.to_string().starts_with("PG_BIN_DIR is /"), "{error}");
    }

    #[test]
    fn a_too_old_server_is_not_used() {
        let scratch = Scratch::new("old");
        scratch.server("path", "13.9");
        let error = scratch.search().run().unwrap_err();
        assert!(matches!(error, ClusterError::TooOld { found: 13, required: 14, .. }), "{error:?}");
    }

    #[test]
    fn no_programs_at_all_is_one_line_which_says_what_to_install() {
        let scratch = Scratch::new("none");
        let error = scratch.search().run().unwrap_err();
        assert!(matches!(error, ClusterError::NoPrograms { .. }), "{error:?}");
        let line = error.to_string();
        assert!(line.contains("apt-get install postgresql") && !line.contains('\n'), "{line}");
    }
}
