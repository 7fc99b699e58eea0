//! The audit: each act of an operator and each caller or call that was refused for who it is, one line
//! of log each with the target `audit`, structured where the log is JSON. Acts are told at info,
//! refusals at warn; a filter of one's own keeps them with `audit=info`.
//!
//! A line of an act tells the operator's words and what became of it, also if it was refused. They are
//! as many as there are acts, which the database bounds. Refusals cost a caller nothing, so of those no
//! more than [`REFUSALS_PER_SECOND`] are told: whoever floods the service with refused calls would
//! else fill its disk. The next line then says how many were left out.

use super::refused::Refused;
use super::roles::Role;
use crate::calls::span::outcome;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// Most refusals that are told in a second: more than anybody reads.
const REFUSALS_PER_SECOND: u32 = 50;

/// What an operator did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) caller: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) method: &'static str,
    /// To what: an entity, or the claim of a consumer.
    pub(crate) subject: &'a str,
    /// The signal, or what else it is.
    pub(crate) act: &'a str,
    /// The operator's words.
    pub(crate) words: &'a str,
}

impl Act<'_> {
    /// Tells that it was done, or with which status it was refused.
    pub(crate) fn ended(self, refused: Option<&Status>) {
        let Self { caller, tenant, method, subject, act, words: reason } = self;
        let outcome = refused.map_or_else(|| "OK".to_owned(), outcome);
        tracing::info!(
            target: "audit",
            caller, tenant, method, subject, act, reason, outcome,
            "{caller}: {act} of {subject} in {tenant}: {outcome}"
        );
    }
}

/// Tells who was refused, within bounds.
#[derive(Debug, Default)]
pub(super) struct Audit(Mutex<Second>);

/// What was told since it began.
#[derive(Debug, Default)]
struct Second {
    begin: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Second {
    /// Whether one more may be told now, and how many were left out before it.
    fn admits(&mut self, now: Instant) -> Option<u64> {
        let is_over = |begin: Instant| now.duration_since(begin) >= Duration::from_secs(1);
        if self.begin.is_none_or(is_over) {
            self.begin = Some(now);
            self.told = 0;
        }
        if self.told >= REFUSALS_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Audit {
    fn admits(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admits(Instant::now())
    }

    /// Tells of a call whose caller is not known.
    pub(super) fn unauthenticated(
        &self,
        from: Option<SocketAddr>,
        method: &'static str,
        why: Refused,
    ) {
        let Some(left_out) = self.admits() else { return };
        let from = from.map(|address| address.to_string()).unwrap_or_default();
        let (outcome, reason) = ("UNAUTHENTICATED", why.as_str());
        tracing::warn!(
            target: "audit",
            from, method, reason, outcome, left_out,
            "{method} refused, {outcome}: {reason}"
        );
    }

    /// Tells of a call whose caller lacks a role.
    pub(super) fn not_permitted(
        &self,
        caller: &str,
        tenant: &str,
        method: &'static str,
        role: Role,
        reason: &str,
    ) {
        let Some(left_out) = self.admits() else { return };
        let (outcome, permission) = ("NOT_PERMITTED", role.as_str());
        tracing::warn!(
            target: "audit",
            caller, tenant, method, permission, reason, outcome, left_out,
            "{method} of {caller} in {tenant} refused, {outcome}: {reason}"
        );
    }

    /// Says how many refusals were left out, if no later one has.
    pub(super) fn catch_up(&self) {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = std::mem::take(&mut second.left_out);
        drop(second);
        if left_out > 0 {
            tracing::warn!(target: "audit", left_out, "{left_out} more refusals were not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_told_in_part_and_the_rest_is_counted() {
        let mut second = Second::default();
        let begin = Instant::now();
        let told = (0..1000).filter_map(|_| second.admits(begin)).count();
        assert_eq!(told, 50);
        let later = begin + Duration::from_secs(1);
        assert_eq!(second.admits(later), Some(950));
        assert_eq!(second.admits(later), Some(0));
    }
}
