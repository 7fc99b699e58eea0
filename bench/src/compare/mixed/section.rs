//! What is told of the fleet.

use super::{CHURN, Kind, Mixed, PERIOD, TTL};
use crate::compare::section::Section;
use crate::compare::settings::Settings;
use crate::numbers::{float, grouped, rounded};
use anyhow::Result;
use std::fmt::Write as _;

impl Section for Mixed {
    fn text(&self, _settings: &Settings) -> Result<String> {
        let mut table = "| | calls | a second | p50 ms | p99 ms | p99.9 ms | most ms |\n\
                         |---|---|---|---|---|---|---|\n"
            .to_owned();
        for (kind, load) in &self.calls {
            let sent = float(load.sent)?;
            writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} |",
                name(*kind),
                grouped(sent),
                rounded(sent / self.seconds),
                rounded(load.p50_ms),
                rounded(load.p99_ms),
                rounded(load.p999_ms),
                rounded(load.max_ms),
            )?;
        }
        Ok(format!(
            "## A fleet with all it does

{holders} holders with leases of {TTL:?}, for {seconds:.0} s. Every {PERIOD:?}, at a time of its own, each \
sends a heartbeat, and in between asks whether it may write; one time in {CHURN} it says done instead, and a \
quarter of the time later mints the next epoch with a fresh consumer id. All are calls of their own, sent at \
their times, and latencies are counted from then on. A `claim-reaper` runs beside.

{table}
No claim was lost: in the end every holder has its claim with a running lease, nothing has expired, and \
claims, fences and events are as many as the answers say.
",
            holders = grouped(self.holders.into()),
            seconds = self.seconds,
        ))
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Heartbeat => "heartbeat",
        Kind::Authorize => "authorize",
        Kind::Done => "done",
        Kind::Mint => "mint",
    }
}
