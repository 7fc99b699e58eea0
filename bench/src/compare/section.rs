//! A part of the run that brings its own goals, text and plots.

use super::goals::Goal;
use super::settings::Settings;
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
pub(crate) enum Part {
    /// Throughput and costs of calls, round by round, beside plain SQL and the peers.
    Turns,
    Overload,
    /// At tables of more and more rows.
    Growth,
    /// Heartbeats while thousands of claims expire.
    Storm,
    /// Passes over many live claims.
    Reaper,
    /// Holders with all they do.
    Fleet,
    /// Many that want the same entity.
    Contended,
    /// Several servers.
    Replicas,
    /// Thousands of open streams.
    Streams,
    /// Calls sent at their times.
    Open,
    /// Numbers of lanes and sizes of batches.
    Sizes,
}

/// What is told of it.
pub(crate) trait Section {
    /// What was to be reached.
    fn goals(&self) -> Result<Vec<Goal>> {
        Ok(Vec::new())
    }

    /// Its section of the page.
    fn text(&self, settings: &Settings) -> Result<String>;

    /// Its plots, into a folder.
    fn draw(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }
}
