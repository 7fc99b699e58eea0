//! A file of quotas, as an operator has one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The file; removed when dropped.
pub(crate) struct QuotaFile(PathBuf);

impl QuotaFile {
    /// One that says so.
    pub(crate) fn saying(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("claim-quotas-{}-{number}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.say(text);
        file
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, text: &str) {
        std::fs::write(&self.0, text).expect("a file");
    }

    /// Takes it away.
    pub(crate) fn remove(&self) {
        std::fs::remove_file(&self.0).expect("a file");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The setting that names it.
    pub(crate) fn setting(&self) -> [(&'static str, &str); 1] {
        [("CLAIM_QUOTA_FILE", self.0.to_str().expect("a path"))]
    }
}

impl Drop for QuotaFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
