//! The one look at all leases with which a pass begins.

use super::statements::{CountLeases, ExpiredLately, ScanLeases};
use crate::chain;
use crate::domain::lease::takeable_at;
use crate::domain::{ClaimId, Timestamp};
use crate::store::batch::load::{ClockRow, liveness};
use crate::store::error::{Damaged, TransactionError};
use crate::store::rows::{Time, claim_id, millis};
use crate::store::statements::ReadClock;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::time::{Duration, Instant};

/// For how long a count of the live claims is good enough while none of them is due: counting them
/// costs as much as finding those that lapsed, and nothing is decided by it then.
const COUNT_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How many claims there were when they were last counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    live: u64,
    active: u64,
    at: Instant,
}

/// What one scan of the leases found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Live claims; as they were counted up to half a minute ago if there are no candidates.
    pub live: u64,
    /// Those of them that are active.
    pub active: u64,
    /// Those of the live ones whose lease has lapsed.
    pub lapsed: u64,
    /// How long ago the first of these leases lapsed.
    pub oldest_lapsed_age: Option<Duration>,
    /// Active claims that reapers expired within the brake's span while they were fresh (R7).
    pub expired_lately: u64,
    /// The database time of the scan: every claim that was due then is among the candidates, unless
    /// somebody ended it meanwhile.
    pub now: Timestamp,
    /// Claims whose lease lapsed at least the reap grace ago, longest due first.
    pub candidates: Vec<Candidate>,
    /// Lapsed leases whose key is no identity; no code of ours can have written them.
    pub unreadable: u64,
}

/// A claim that has lapsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: ClaimId,
    /// It is active, not superseded.
    pub active: bool,
    /// From when it may be expired; later than the scan if an outage protects it (R6).
    pub due_at: Timestamp,
}

type LapsedLease = (String, String, i64, bool, Time, Time, bool);

/// Scans once, within the time limit that the database keeps. Counts anew if there is anything to
/// decide, or if it was `counted` too long ago.
pub(super) async fn scan(
    mut connection: &AsyncPgConnection,
    counted: &mut Option<Counted>,
    reap_grace: Duration,
    span: Duration,
    limit: Duration,
) -> Result<Scan, TransactionError> {
    let c = &mut connection;
    // The two statements that are meant to read a table whole, in one snapshot: the brake compares
    // what one has found with what the other has counted. Before them the clock, so that whatever was
    // due at the moment of the scan is found by it. The plans of the others may be of a time when the
    // tables were empty.
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; DISCARD PLANS; \
         SET LOCAL statement_timeout = {}; SET LOCAL enable_seqscan = on",
        limit.as_millis().max(1)
    );
    c.batch_execute(&begin).await?;
    let (now, signed, resumed, grace, _): ClockRow = ReadClock::default().get_result(c).await?;
    let reap_grace_ms = millis(reap_grace);
    let statement = ScanLeases { now, reap_grace_ms, ..Default::default() };
    let leases: Vec<LapsedLease> = statement.load(c).await?;
    let has_candidates = leases.iter().any(|(.., for_long)| *for_long);
    let known = counted.filter(|c| !has_candidates && c.at.elapsed() < COUNT_AGAIN_AFTER);
    let counts = match known {
        Some(known) => known,
        None => count(c).await?,
    };
    c.batch_execute("COMMIT").await?;
    // What is expired now is not to be counted the next time.
    *counted = (!has_candidates).then_some(counts);
    let (now, liveness) = (now.0, liveness(signed, resumed, grace));
    let lately = ExpiredLately { span_ms: millis(span), ..Default::default() };
    let lately: i64 = lately.get_result(c).await?;

    let oldest = leases.iter().map(|(_, _, _, _, expires, ..)| expires.0).min();
    let mut candidates = Vec::new();
    let mut unreadable = 0;
    let lapsed_for_long = leases.iter().filter(|(.., for_long)| *for_long);
    for (tenant, consumer, epoch, superseded, expires, heard, _) in lapsed_for_long {
        match claim_id(tenant, consumer, *epoch) {
            Ok(id) => {
                let takeable_at = takeable_at(expires.0, heard.0, &liveness, now);
                let due_at = takeable_at + reap_grace;
                candidates.push(Candidate { id, active: !superseded, due_at });
            }
            Err(error) => {
                // One bad row never stops the sweep (R4).
                unreadable += 1;
                let key = format!("{tenant:?}/{consumer:?}/{epoch}");
                tracing::error!(error = %chain(&error), "lease {key} cannot be read; skipped");
            }
        }
    }
    candidates
        .sort_by(|one, other| one.due_at.cmp(&other.due_at).then_with(|| one.id.cmp(&other.id)));
    Ok(Scan {
        live: counts.live,
        active: counts.active,
        lapsed: u64::try_from(leases.len()).unwrap_or(u64::MAX),
        oldest_lapsed_age: oldest.map(|oldest| now.since(oldest)),
        expired_lately: number(lately)?,
        now,
        candidates,
        unreadable,
    })
}

async fn count(c: &mut &AsyncPgConnection) -> Result<Counted, TransactionError> {
    let at = Instant::now();
    let (live, active): (i64, i64) = CountLeases::default().get_result(c).await?;
    Ok(Counted { live: number(live)?, active: number(active)?, at })
}

fn number(number: i64) -> Result<u64, Damaged> {
    u64::try_from(number).map_err(|_| Damaged::new("a count"))
}
