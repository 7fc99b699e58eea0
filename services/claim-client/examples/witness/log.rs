//! The log of grants, writes and dones, which outlives this process: whoever judges it puts the logs of
//! several processes together (`scripts/lib/faults/judge.sql`).
//!
//! One line for each, at once and only once it was answered:
//!
//! ```text
//! grant|write|done|lost  entity  fence  asked  answered  consumer  epoch  at
//! ```
//!
//! `fence` is that of the claim that asks, whatever the answer says. `asked` and `answered` are microseconds of the machine's monotonic clock, which all of its processes
//! share and nobody can set; `at` is when it was answered, in milliseconds since 1970.

use anyhow::{Context, Result};
use claim_client::v1;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds of the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(i64);

impl Moment {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A claim was granted: from now on no lower fence may write.
    Grant,
    /// A write was allowed.
    Write,
    /// A claim was reported done: from now on neither it nor a lower fence may write.
    Done,
    /// It had ended before, as its holder had to expect; the same follows.
    Lost,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grant => "grant",
            Self::Write => "write",
            Self::Done => "done",
            Self::Lost => "lost",
        })
    }
}

/// The log; says nothing without a file.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<Mutex<File>>,
    begun: Begun,
}

/// When the log began, by both clocks. The clock of the wall is read only once: a fault may set it.
#[derive(Debug)]
struct Begun {
    wall: SystemTime,
    moment: Instant,
}

impl Default for Begun {
    fn default() -> Self {
        Self { wall: SystemTime::now(), moment: Instant::now() }
    }
}

impl Log {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { file: Some(Mutex::new(file)), begun: Begun::default() })
    }

    /// Something was asked at that moment and is answered now.
    pub(crate) fn answered(&self, kind: Kind, claim: &v1::Claim, asked: Moment) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let at = self.begun.wall + self.begun.moment.elapsed();
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let v1::Claim { entity_url: entity, consumer_id: consumer, epoch, fence, .. } = claim;
        let (asked, answered) = (asked.0, Moment::now().0);
        let line = format!("{kind} {entity} {fence} {asked} {answered} {consumer} {epoch} {at}\n");
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).context("the log cannot be written")
    }
}
