//! A push: what a holder is told without asking, which is what its next heartbeat would be told.

use claims::domain::{
    Claim, ClaimId, Directive, Heartbeat, Refusal, Renewal, Timestamp, TokenDigest, heartbeat,
};

/// How a claim was found: as it stands at a moment, or that there is none.
pub(super) type Found = Result<(Claim, Timestamp), Refusal>;

/// Something that the holder of a claim does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It should stop at its next checkpoint. The lease is told as it stands: nothing was renewed.
    Stop {
        /// The lease.
        lease: Renewal,
        /// When that was so, by the database clock.
        at: Timestamp,
    },
    /// A heartbeat would be refused.
    Lost(Refusal),
}

impl Push {
    /// What there is to say to a holder with that token; nothing if a heartbeat would just be
    /// accepted.
    pub(super) fn of(id: &ClaimId, token: Option<TokenDigest>, found: &Found) -> Option<Self> {
        let (claim, now) = match found {
            Ok((claim, now)) => (claim, *now),
            Err(refusal) => return Some(Self::Lost(refusal.clone())),
        };
        let asked = Heartbeat { id: id.clone(), token, ttl: None, progress: None };
        match heartbeat::heartbeat(Some(claim), &asked, now) {
            Err(refusal) => Some(Self::Lost(refusal)),
            Ok(_) if claim.lease.stop => Some(Self::Stop { lease: unrenewed(claim, now), at: now }),
            Ok(_) => None,
        }
    }

    /// Whether an answer to a heartbeat tells the same, or what came after it. What is lost does not
    /// come back, so to that there is no later answer.
    pub(super) fn is_older_than(&self, renewal: &Renewal) -> bool {
        let renewed_at = renewal.expires_at - renewal.remaining;
        matches!(self, Self::Stop { at, .. } if *at <= renewed_at)
    }

    /// Whether nothing can become of the claim any more.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Lost(refusal) if is_final(refusal))
    }
}

/// Whether nothing can become any more of a claim that is refused so.
pub(super) fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::ClaimNotFound | Refusal::ClaimEnded { .. })
}

/// A lease as a heartbeat would tell it, had it renewed nothing.
fn unrenewed(claim: &Claim, now: Timestamp) -> Renewal {
    let lease = &claim.lease;
    Renewal {
        expires_at: lease.expires_at,
        remaining: lease.expires_at.since(now),
        ttl: lease.ttl,
        directive: Directive::Stop,
        had_lapsed: lease.has_lapsed(now),
        ceiling_remaining: lease.ceiling_at.map(|ceiling| ceiling.since(now)),
    }
}
