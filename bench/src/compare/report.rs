//! What was measured, as it is kept beside the document.

use super::contended::Contended;
use super::contest::{Contested, Who};
use super::cost::Charged;
use super::growth::Growth;
use super::mixed::Mixed;
use super::open::Open;
use super::overload::Overload;
use super::passes::Passes;
use super::replicas::Replicas;
use super::section::{Part, Section};
use super::settings::Settings;
use super::sizes::Sizes;
use super::storm::Storm;
use super::streams::Streams;
use crate::fleet::heartbeats::{Rounds, Way};
use crate::machine::Machine;
use anyhow::{Context, Result};
use serde::Serialize;

/// Everything; what was left out is not there.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) turns: Option<Turns>,
    pub(crate) overload: Option<Overload>,
    pub(crate) open: Option<Open>,
    pub(crate) fleet: Option<Mixed>,
    pub(crate) contended: Option<Contended>,
    pub(crate) replicas: Option<Replicas>,
    pub(crate) streams: Option<Streams>,
    pub(crate) sizes: Option<Sizes>,
    pub(crate) growth: Option<Growth>,
    pub(crate) storm: Option<Storm>,
    pub(crate) reaper: Option<Passes>,
    /// Parts that failed, and why.
    pub(crate) failed: Vec<(Part, String)>,
    /// How long each part took, its preparation among it.
    pub(crate) part_seconds: Vec<(Part, u64)>,
    /// How long the whole run took.
    pub(crate) seconds: u64,
}

/// Those that took turns, and what their calls cost.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Turns {
    pub(crate) contested: Contested,
    pub(crate) costs: Vec<Charged>,
}

impl Report {
    /// The parts that speak for themselves, in the order of the page.
    pub(crate) fn sections(&self) -> Vec<&dyn Section> {
        fn told<S: Section>(part: &Option<S>) -> Option<&dyn Section> {
            part.as_ref().map(|part| part as &dyn Section)
        }
        let all = [
            told(&self.open),
            told(&self.fleet),
            told(&self.contended),
            told(&self.replicas),
            told(&self.sizes),
            told(&self.streams),
            told(&self.growth),
            told(&self.storm),
            told(&self.reaper),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Turns {
    /// The rounds of one of those that took turns.
    pub(crate) fn of(&self, who: &Who) -> Result<&Rounds<Who>> {
        self.find(who).with_context(|| format!("{who:?} was not measured"))
    }

    /// The same, unless it was left out.
    pub(crate) fn find(&self, who: &Who) -> Option<&Rounds<Who>> {
        self.contested.entries.iter().find(|entry| entry.way == *who)
    }

    /// The fastest of them.
    pub(crate) fn best(&self, of: impl Fn(&Who) -> bool) -> Result<&Rounds<Who>> {
        let those = self.contested.entries.iter().filter(|entry| of(&entry.way));
        those.max_by(|a, b| a.median_rate().total_cmp(&b.median_rate())).context("a floor")
    }

    /// The one that all lines of a table are compared with.
    pub(crate) fn floor(&self, of: Group) -> Result<&Rounds<Who>> {
        self.best(|who| Group::of(who) == of && who.is_floor())
    }
}

/// A table's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Cycles,
    Authorizations,
    Heartbeats,
}

impl Group {
    /// Of one of those that took turns.
    pub(crate) fn of(who: &Who) -> Self {
        match who {
            Who::Cycle | Who::CycleWithHeartbeat | Who::CycleSql(_) | Who::EtcdCycle => {
                Self::Cycles
            }
            Who::Authorize | Who::AuthorizeSql(_) => Self::Authorizations,
            Who::Heartbeat(_) | Who::EtcdKeepAlive(_) => Self::Heartbeats,
            Who::Queue(line) if line.what == "touch" => Self::Heartbeats,
            Who::Queue(_) => Self::Cycles,
        }
    }
}

impl Who {
    /// Whether it is the same work as plain SQL.
    fn is_floor(&self) -> bool {
        matches!(
            self,
            Self::CycleSql(_) | Self::AuthorizeSql(_) | Self::Heartbeat(Way::PlainSql(_))
        )
    }

    /// As a reader calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cycle => "mint + done".to_owned(),
            Self::CycleWithHeartbeat => "mint + heartbeat + done".to_owned(),
            Self::CycleSql(clients)
            | Self::AuthorizeSql(clients)
            | Self::Heartbeat(Way::PlainSql(clients)) => format!("pgbench, {clients} clients"),
            Self::Authorize => "authorize".to_owned(),
            Self::Heartbeat(Way::Unary) => "unary".to_owned(),
            Self::Heartbeat(Way::KeepAlive(under_way)) => {
                format!("KeepAlive, {under_way} under way each")
            }
            Self::Heartbeat(Way::Batch) => "batches of 500".to_owned(),
            Self::EtcdKeepAlive(under_way) => {
                format!("etcd keep-alive, {under_way} under way each")
            }
            Self::EtcdCycle => "etcd: grant + put in a transaction + revoke".to_owned(),
            Self::Queue(line) => {
                let batch = if line.batch > 1 {
                    format!(", {} at once", line.batch)
                } else {
                    String::new()
                };
                format!("{}: {}{batch}", line.name, line.what)
            }
        }
    }
}
