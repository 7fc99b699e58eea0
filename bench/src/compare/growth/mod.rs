//! The same calls at few claims and at many. A database cannot have both sizes, so there are two side by
//! side, each with its server: one that stays small, and one that grows. At each size of the second, both
//! are measured in turns within the same minutes, and the ratio of each turn counts.

pub(super) mod lives;
mod place;
mod section;

use super::cost::counts::{Counts, STATISTICS_LATE};
use super::settings::Settings;
use crate::numbers::{Spread, float, grouped};
use crate::progress;
use anyhow::Result;
use place::{Once, Place};
use serde::Serialize;
use std::thread::sleep;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Claims of the small database.
const SMALL: u32 = 10_000;
/// Claims of the other one at first; then ten times as many, and so on.
const FIRST: u32 = 100_000;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Call {
    /// Of fresh entities, by many callers.
    MintAndDone,
    /// Over streams, with many under way.
    Heartbeat,
    /// By many callers.
    Authorize,
}

/// In the order in which they are measured: a heartbeat makes sure that the holder may write.
const CALLS: [Call; 3] = [Call::Heartbeat, Call::Authorize, Call::MintAndDone];

/// At all sizes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) sizes: Vec<Size>,
}

/// At one size of the growing database.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Size {
    pub(crate) rows: u32,
    /// Of the growing database.
    pub(crate) bytes: u64,
    /// Finished claims whose events were left out.
    pub(crate) without_events: u64,
    /// To fill, to vacuum and to write it.
    pub(crate) filled_in_seconds: u64,
    pub(crate) calls: Vec<Compared>,
}

/// One kind of call at both.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) call: Call,
    pub(crate) small: At,
    pub(crate) large: At,
}

/// In one of the databases.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct At {
    pub(crate) rounds: Vec<Once>,
    /// Shared buffers touched for each call, in the first round; none in the short form, since Postgres
    /// takes its time to tell.
    pub(crate) buffers: Option<f64>,
}

impl At {
    /// A number of all rounds.
    pub(crate) fn spread(&self, of: impl Fn(&Once) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
    }
}

impl Compared {
    /// The time of a call at many claims as a multiple of that at few.
    pub(crate) fn times(&self) -> Spread {
        let pairs = self.small.rounds.iter().zip(&self.large.rounds);
        let ratios = pairs.map(|(few, many)| few.measured.per_second / many.measured.per_second);
        Spread::of(ratios.collect::<Vec<f64>>().into_iter())
    }
}

/// Fills and measures, one size after the other.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Growth> {
    let mut small = Place::new(settings, runtime, true)?;
    let mut large = Place::new(settings, runtime, false)?;
    small.grow(SMALL)?;
    let mut sizes = Vec::new();
    let mut rows = FIRST;
    while rows <= settings.rows {
        let began = Instant::now();
        large.grow(rows)?;
        let filled_in_seconds = began.elapsed().as_secs();
        progress(&format!("{} claims, filled in {filled_in_seconds} s", grouped(rows.into())));
        let (bytes, without_events) = large.size()?;
        small.grow(SMALL)?;
        let calls = compare(settings, &mut [&mut small, &mut large])?;
        sizes.push(Size { rows, bytes, without_events, filled_in_seconds, calls });
        rows = rows.saturating_mul(10);
    }
    Ok(Growth { sizes })
}

/// All calls in both.
fn compare(settings: &Settings, both: &mut [&mut Place<'_>; 2]) -> Result<Vec<Compared>> {
    let counts = |both: &[&mut Place<'_>; 2]| -> Result<[Counts; 2]> {
        if !settings.quick {
            sleep(STATISTICS_LATE);
        }
        Ok([both[0].counts()?, both[1].counts()?])
    };
    let before = counts(both)?;
    let mut last = counts(both)?;
    let idle = [0, 1].map(|place: usize| last[place].a_second_since(&before[place]));
    let mut compared = Vec::new();
    let mut expected = Vec::new();
    // Nobody looks at the tables meanwhile, so that only the calls are counted.
    for call in CALLS {
        progress(&format!("{call:?}, round 1 of {}", settings.rounds));
        let (small, few) = both[0].measure(call, settings.length)?;
        let (large, many) = both[1].measure(call, settings.length)?;
        let now = counts(both)?;
        let each = |place: usize, once: &Once| {
            let beyond = now[place].beyond(&last[place], &idle[place]);
            let buffers = beyond.buffers / float(once.calls)?;
            Ok::<_, anyhow::Error>((!settings.quick).then_some(buffers))
        };
        compared.push(Compared {
            call,
            small: At { buffers: each(0, &small)?, rounds: vec![small] },
            large: At { buffers: each(1, &large)?, rounds: vec![large] },
        });
        expected.push((call, [few, many]));
        last = now;
    }
    for (call, [few, many]) in expected {
        both[0].check(call, few)?;
        both[1].check(call, many)?;
    }
    for round in 1..settings.rounds {
        for kind in &mut compared {
            progress(&format!("{:?}, round {} of {}", kind.call, round + 1, settings.rounds));
            // Whoever is second meets what the first has left behind.
            for turn in 0..2 {
                let first = (turn + round) % 2 == 0;
                let (place, at) = if first {
                    (&mut both[0], &mut kind.small)
                } else {
                    (&mut both[1], &mut kind.large)
                };
                let (once, expected) = place.measure(kind.call, settings.length)?;
                place.check(kind.call, expected)?;
                at.rounds.push(once);
            }
        }
    }
    Ok(compared)
}
