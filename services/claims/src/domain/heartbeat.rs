//! Heartbeat: rules H1 … H7. It touches one lease and nothing else (H6), so it needs no decision
//! about entities; the store renews whole batches by one statement, `sql/heartbeat.sql`, that
//! holds the same rules. Here they stand for whoever asks why a heartbeat was refused, and for
//! the property tests.

use super::claim::{Claim, ClaimId};
use super::lease::{Lease, LeaseTtl};
use super::names::Text;
use super::refusal::Refusal;
use super::time::Timestamp;
use super::token::TokenDigest;
use std::time::Duration;

/// Most bytes of what a holder says of its work.
pub const PROGRESS_BYTES_MAX: usize = 256;
/// Heartbeats in a lease, so that two may be lost in a row (H5).
pub const HEARTBEATS_PER_LEASE: u32 = 3;

/// The holder says that it is alive.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The claim.
    pub id: ClaimId,
    /// Digest of the token that was supplied, if one was (H7).
    pub token: Option<TokenDigest>,
    /// The lease asked for, else the claim's own (H2).
    pub ttl: Option<LeaseTtl>,
    /// What to keep with the claim; none leaves what is there.
    pub progress: Option<Text<PROGRESS_BYTES_MAX>>,
}

/// What the holder is asked to do (H5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Directive {
    /// Go on.
    Continue,
    /// Finish at the next checkpoint.
    Stop,
}

/// A renewed lease (H5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When the lease lapses now.
    pub expires_at: Timestamp,
    /// How long that is from the moment of renewal.
    pub remaining: Duration,
    /// The length that was asked for, or the claim's own.
    pub ttl: LeaseTtl,
    /// What the holder is asked to do.
    pub directive: Directive,
    /// The lease had lapsed; nobody had ended the claim (H3).
    pub had_lapsed: bool,
    /// How long until the claim's ceiling, if it has one.
    pub ceiling_remaining: Option<Duration>,
}

/// Renews one claim, or says why not. The order of the checks: exists, token, state, ceiling (H1).
pub fn heartbeat(
    claim: Option<&Claim>,
    heartbeat: &Heartbeat,
    now: Timestamp,
) -> Result<(Claim, Renewal), Refusal> {
    let claim = claim.ok_or(Refusal::ClaimNotFound)?;
    claim.check_token(heartbeat.token.as_ref())?;
    if let Some(refusal) = claim.refusal_by_state() {
        return Err(refusal);
    }
    let lease = Lease { last_heartbeat_at: Some(now), ..claim.lease.renewed(now, heartbeat.ttl)? };
    let progress = match &heartbeat.progress {
        Some(text) => Some(text.as_str().to_owned()),
        None => claim.progress.clone(),
    };
    let renewal = Renewal {
        expires_at: lease.expires_at,
        remaining: lease.expires_at.since(now),
        ttl: heartbeat.ttl.unwrap_or(lease.ttl),
        directive: if lease.stop { Directive::Stop } else { Directive::Continue },
        had_lapsed: claim.lease.has_lapsed(now),
        ceiling_remaining: lease.ceiling_at.map(|ceiling| ceiling.since(now)),
    };
    Ok((Claim { lease, progress, ..claim.clone() }, renewal))
}
