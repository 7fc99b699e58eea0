//! A file that is read at start and watched from then on.

use crate::fingerprint::Fingerprint;
use claims::program::WrongSetting;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Most bytes of a file: some ten thousand tokens or grants.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a file that has changed must stay the same before it counts. Not everybody who writes a
/// file puts it there as a whole.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// A file of a setting, and what was last taken from it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    setting: &'static str,
    path: PathBuf,
    taken: Option<Fingerprint>,
    is_missing: bool,
}

impl Source {
    /// Reads the file of a setting for the first time.
    pub(crate) fn open(setting: &'static str, path: &Path) -> Result<(Self, String), WrongSetting> {
        let place = path.display();
        let text =
            read(path).map_err(|error| WrongSetting::new(setting, format!("{place}: {error}")))?;
        let taken = Some(Fingerprint::of(text.as_bytes()));
        Ok((Self { setting, path: path.to_owned(), taken, is_missing: false }, text))
    }

    /// What the file says if that is new; none if it says what it said, or cannot be read.
    pub(crate) async fn news(&mut self) -> Option<String> {
        let text = self.look().await?;
        let print = Fingerprint::of(text.as_bytes());
        if self.taken == Some(print) {
            return None;
        }
        sleep(SETTLED_AFTER).await;
        if self.look().await? != text {
            return None;
        }
        self.taken = Some(print);
        Some(text)
    }

    async fn look(&mut self) -> Option<String> {
        let path = self.path.clone();
        let text = spawn_blocking(move || read(&path)).await.ok()?;
        let was_missing = std::mem::replace(&mut self.is_missing, text.is_err());
        if let (Err(error), false) = (&text, was_missing) {
            tracing::error!("{}: {error}; what was read before stays", self.place());
        }
        text.ok()
    }

    /// Setting and path, for the log.
    pub(crate) fn place(&self) -> String {
        format!("{}: {}", self.setting, self.path.display())
    }
}

/// Reads a file of bounded length.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        return Ok(text);
    }
    Err(io::Error::other(format!("has more than {FILE_BYTES_MAX} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env::temp_dir;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_and_a_missing_file_is_no_change() {
        let path = temp_dir().join(format!("claim-source-{}", std::process::id()));
        std::fs::write(&path, "one").unwrap();
        let (mut source, text) = Source::open("CLAIM_X", &path).unwrap();
        assert_eq!(text, "one");
        assert_eq!(source.news().await, None);
        std::fs::write(&path, "two").unwrap();
        assert_eq!(source.news().await.as_deref(), Some("two"));
        assert_eq!(source.news().await, None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source.news().await, None);
        std::fs::write(&path, "two").unwrap();
        assert_eq!(source.news().await, None);
        std::fs::write(&path, vec![0xff]).unwrap();
        assert_eq!(source.news().await, None);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_missing_or_too_long_is_refused_by_its_setting() {
        let wrong = Source::open("CLAIM_X", Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(wrong.name, "CLAIM_X");
        assert!(wrong.problem.starts_with("/nowhere/at/all: "), "{wrong}");
        let wrong = Source::open("CLAIM_X", Path::new("/dev/zero")).unwrap_err();
        assert!(wrong.problem.contains("has more than"), "{wrong}");
    }
}
