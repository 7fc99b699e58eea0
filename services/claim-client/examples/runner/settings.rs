//! Settings of the fleet and of each runner.

use claim_client::{Client, WrongSetting};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::time::Duration;

/// A fleet of runners that are killed at random, and a comparison of what they did with what the
/// claims say.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) fleet: Fleet,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One runner; the fleet starts them itself
    #[command(hide = true)]
    Work(Work),
}

/// What the runners and the fleet have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// The servers, one or several
    #[arg(
        long = "address",
        env = "CLAIM_ADDRESSES",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:50051"
    )]
    pub(crate) addresses: Vec<String>,

    /// How many entities there are to work on
    #[arg(long, default_value_t = 20)]
    pub(crate) entities: usize,

    /// Claims that a runner works under at the same time
    #[arg(long, default_value_t = 4)]
    pub(crate) slots: usize,

    /// Steps of a piece of work; each is a write to the entity's stream
    #[arg(long, default_value_t = 5)]
    pub(crate) steps: u32,

    /// Longest time that a step takes; it takes between half and all of it
    #[arg(long, value_parser = humantime::parse_duration, default_value = "400ms")]
    pub(crate) step_time: Duration,

    /// Length of a claim's lease: how long the entity of a killed runner waits
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s")]
    pub(crate) lease: Duration,
}

/// Settings of the fleet.
#[derive(Clone, Debug, Args)]
pub(crate) struct Fleet {
    #[command(flatten)]
    pub(crate) common: Common,

    /// How many runners, each a process
    #[arg(long, default_value_t = 4)]
    pub(crate) runners: usize,

    /// A runner is killed (SIGKILL) about that often, and started again; 0s: never
    #[arg(long, value_parser = humantime::parse_duration, default_value = "3s")]
    pub(crate) kill_every: Duration,

    /// A runner is stopped (SIGSTOP) about that often, and goes on after up to two leases, perhaps
    /// with claims that others have by then; 0s: never
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s")]
    pub(crate) pause_every: Duration,

    /// How long the runners work, before they finish what they have begun
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    pub(crate) run_for: Duration,
}

/// Settings of one runner.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Its name
    #[arg(long)]
    pub(crate) name: String,

    /// What the entities' names begin with
    #[arg(long)]
    pub(crate) prefix: String,

    /// Where the store listens
    #[arg(long)]
    pub(crate) store: SocketAddr,
}

impl Common {
    /// The one client of a process.
    pub(crate) fn client(&self) -> Result<Client, WrongSetting> {
        Client::builder(&self.addresses).build()
    }

    /// The flags that say the same to a runner.
    pub(crate) fn flags(&self) -> Vec<String> {
        let time = |length: Duration| humantime::format_duration(length).to_string();
        let flags = [
            ("address", self.addresses.join(",")),
            ("entities", self.entities.to_string()),
            ("slots", self.slots.to_string()),
            ("steps", self.steps.to_string()),
            ("step-time", time(self.step_time)),
            ("lease", time(self.lease)),
        ];
        flags.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }
}

/// An entity by its number.
pub(crate) fn entity(prefix: &str, number: usize) -> String {
    format!("{prefix}/e{number}")
}
