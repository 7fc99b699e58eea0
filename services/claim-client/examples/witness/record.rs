//! What was granted, as it is kept for a later run.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// A claim that was granted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) entity: String,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) epoch: i64,
    pub(crate) fence: i64,
    pub(crate) token: String,
    /// Its done was acknowledged.
    pub(crate) done: bool,
    /// Its holder left it without a word, on purpose.
    #[serde(default)]
    pub(crate) abandoned: bool,
    /// The least end of its lease that was acknowledged, in microseconds since 1970.
    pub(crate) lease_until: Option<i64>,
}

/// All grants of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record(pub(crate) Vec<Grant>);

impl Record {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no record", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_vec(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    pub(crate) fn highest_fence(&self) -> i64 {
        self.0.iter().map(|grant| grant.fence).max().unwrap_or(0)
    }

    pub(crate) fn highest_epoch(&self) -> i64 {
        self.0.iter().map(|grant| grant.epoch).max().unwrap_or(0)
    }
}
