//! A small fleet of runners that work on entities, are killed at random and started again, and a
//! store that they write to. At the end the store's record is compared with the claims.
//!
//! ```text
//! scripts/dev                                             # in one terminal
//! cargo run -p claim-client --example runner              # in another
//! cargo run -p claim-client --example runner -- --entities 200 --runners 20 --run-for 3m
//! ```
//!
//! Begin with `runner/work.rs`: that is what a runner does. `runner/store.rs` is what the owner of
//! a stream does: it asks the service about each write, and refuses fences lower than the highest
//! it has seen. `runner/fleet.rs` starts the runners, kills them, and makes the comparison
//! (`runner/audit.rs`).
//!
//! # Why the comparison must come out even
//!
//! The work of an entity is a row of pieces, numbered from 1. A runner writes a `begin`, which
//! tells it the last finished piece and bars every older claim from the stream; then some steps of
//! the next piece; then its `finish`; and reports done with the number of the piece as its ack. If
//! it dies in between, the next runner finds the finish of a claim that was never reported done. It
//! writes that it adopts the piece, and reports it, without doing the work again. So each piece has
//! one finish in the store and one ack among the claims, whoever died when.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

#[path = "runner/audit.rs"]
mod audit;
#[path = "runner/fleet.rs"]
mod fleet;
#[path = "runner/protocol.rs"]
mod protocol;
#[path = "runner/settings.rs"]
mod settings;
#[path = "runner/store.rs"]
mod store;
#[path = "runner/work.rs"]
mod work;

use clap::Parser;
use settings::{Arguments, Command};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into()))
        .init();
    match arguments.command {
        Some(Command::Work(settings)) => {
            work::run(settings).await?;
            Ok(ExitCode::SUCCESS)
        }
        None => fleet::run(arguments.fleet).await,
    }
}
