//! What was measured, as it is kept beside the document.

use super::heartbeats::WayRounds;
use super::memory::Memory;
use super::settings::Settings;
use super::watchers::Watched;
use crate::machine::Machine;
use serde::Serialize;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) heartbeats: Vec<WayRounds>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) watchers: Vec<Watched>,
    /// How long the whole run took.
    pub(crate) seconds: u64,
}
