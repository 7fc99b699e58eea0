//! The file of quotas: read and checked before anything binds, and looked at again and again. What is new
//! counts at once; what cannot be used is said in one line, and what was read before stays.

use super::Quotas;
use super::table::QuotaTable;
use crate::source::Source;
use claims::program::WrongSetting;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

const SETTING: &str = "CLAIM_QUOTA_FILE";
/// How often the file is looked at: soon enough for whoever waits for it, rarely enough to cost nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where quotas are written down.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Quotas")]
pub struct QuotaSettings {
    /// File of quotas by tenant and caller, in TOML; without one nobody has a quota
    ///
    /// It is read again when it changes, without a restart. Quotas that are too low: callers are told
    /// QUOTA_EXCEEDED in their ordinary work. None, or too high: one tenant may use up what the others
    /// need, as far as the queues let it.
    #[arg(long, env = "CLAIM_QUOTA_FILE", value_name = "CLAIM_QUOTA_FILE")]
    pub quota_file: Option<PathBuf>,
}

impl QuotaSettings {
    /// Reads the file, if there is to be one.
    pub(crate) fn check(&self) -> Result<Option<QuotaFile>, WrongSetting> {
        let Some(path) = self.quota_file.as_ref().filter(|path| !path.as_os_str().is_empty())
        else {
            return Ok(None);
        };
        let (source, text) = Source::open(SETTING, path)?;
        let table = QuotaTable::parse(&text).map_err(|problem| {
            WrongSetting::new(SETTING, format!("{}: {problem}", path.display()))
        })?;
        Ok(Some(QuotaFile { source: Some(source), table }))
    }
}

/// A file of quotas that could be read.
#[derive(Clone, Debug)]
pub struct QuotaFile {
    /// None if it is written nowhere.
    source: Option<Source>,
    table: QuotaTable,
}

impl QuotaFile {
    /// Quotas that are written nowhere and never change; the error is one line.
    pub fn of_text(text: &str) -> Result<Self, String> {
        Ok(Self { source: None, table: QuotaTable::parse(text)? })
    }

    /// The quotas that stood in it.
    pub(crate) fn table(&self) -> &QuotaTable {
        &self.table
    }

    /// Gives news of the file to `quotas`, until it is dropped.
    pub(crate) async fn follow(self, quotas: Quotas) {
        let Some(mut source) = self.source else { return };
        loop {
            sleep(LOOK_INTERVAL).await;
            let Some(text) = source.news().await else { continue };
            let place = source.place();
            match QuotaTable::parse(&text) {
                Ok(table) => {
                    quotas.replace(table);
                    tracing::info!("{place} was read anew");
                }
                Err(problem) => tracing::error!("{place}: {problem}; what was read before stays"),
            }
        }
    }
}
