//! What a client writes down: what it asked, what it was told, and between which moments.

use claims::domain::{
    Answer, Authorization, ClaimId, Command, EntityKey, EntityUrl, Event, Expiry, Heartbeat,
    Refusal, Renewal, StreamPath, TenantId, Timestamp, TokenDigest, World,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// What is asked of a store.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// A decision.
    Decide(Command),
    /// A heartbeat.
    Beat(Heartbeat),
    /// May the holder of this token write to this stream?
    Write(TenantId, StreamPath, TokenDigest),
    /// Claims that ended so long ago or longer are removed; which, its record says.
    Prune(BTreeSet<ClaimId>, Duration),
}

/// What is answered.
#[expect(
    clippy::large_enum_variant,
    reason = "a few hundred thousand at a time, and most are large"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Decided(Result<Answer, Refusal>),
    Beat(Result<Renewal, Refusal>),
    Write(Result<Authorization, Refusal>),
    /// So many claims were removed.
    Pruned(usize),
    /// An internal failure, which no rule allows.
    Failed,
}

/// One call, as its caller saw it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) call: Call,
    /// Just before it was asked.
    pub(crate) invoked: Timestamp,
    /// The answer, and just after it came. None if none came, or none that tells: the call may have
    /// taken effect at any time since, or never.
    pub(crate) said: Option<(Timestamp, Said)>,
}

/// All calls about an entity, or about two that share their consumers. Nobody else called about them,
/// and nobody else had these consumers.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) entities: Vec<EntityKey>,
    pub(crate) records: Vec<Record>,
    pub(crate) written: Written,
    /// It is a beginning: calls that were answered later may not have taken effect yet.
    pub(crate) until: Option<Timestamp>,
}

impl History {
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.entities[0].tenant
    }

    /// Whether an order must have a place for this call.
    pub(crate) fn needs(&self, record: &Record) -> bool {
        let answered = record.said.as_ref().map(|(answered, _)| *answered);
        answered.is_some_and(|answered| self.until.is_none_or(|until| answered <= until))
    }

    /// What its entities and its consumers, and nobody else's of its tenant, have in their names.
    pub(crate) fn name(&self) -> &str {
        self.entities[0].url.as_str().rsplit('/').next().unwrap_or_default()
    }
}

/// When something was written. A call without an answer took effect at one of these moments, or never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// When events of an entity occurred.
    pub(crate) decisions: BTreeMap<EntityUrl, BTreeSet<Timestamp>>,
    /// When a claim was renewed.
    pub(crate) renewals: BTreeMap<ClaimId, BTreeSet<Timestamp>>,
}

/// What stands in the database when all is quiet.
#[derive(Clone, Debug)]
pub(crate) struct After {
    /// The rows of the entities.
    pub(crate) world: World,
    /// The events of each, in order of their sequences.
    pub(crate) events: BTreeMap<EntityUrl, Log>,
}

/// Events, each with its moment.
pub(crate) type Log = Vec<(Event, Timestamp)>;

impl After {
    pub(crate) fn count_events(&self) -> usize {
        self.events.values().map(Vec::len).sum()
    }
}

/// Now, by the clock that the database of this machine reads too. A clock that is stepped during a run
/// makes the run worthless.
pub(crate) fn clock() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    Timestamp::from_unix_micros(i64::try_from(since.as_micros()).expect("a clock of our time"))
}

impl Said {
    /// The database time of the transaction that decided, if the answer tells it.
    pub(crate) fn decided_at(&self) -> Option<Timestamp> {
        match self {
            Self::Decided(Ok(Answer::Minted(minted))) => Some(minted.claim.lease.heard_at),
            Self::Decided(Ok(Answer::Ended(ended))) if !ended.already_ended => {
                ended.claim.ending.as_ref().map(|ending| ending.at)
            }
            Self::Decided(Ok(Answer::Signaled(signaled))) => Some(signaled.decided_at),
            Self::Decided(Ok(Answer::Expiry(Expiry::Expired { expired_at, .. }))) => {
                Some(*expired_at)
            }
            Self::Beat(Ok(renewal)) => Some(renewal.expires_at - renewal.remaining),
            Self::Decided(_)
            | Self::Beat(Err(_))
            | Self::Write(_)
            | Self::Pruned(_)
            | Self::Failed => None,
        }
    }

    /// Whether the answer says that anything was written.
    pub(crate) fn says_changed(&self) -> bool {
        match self {
            Self::Decided(Ok(Answer::Signaled(signaled))) => signaled.changed,
            Self::Pruned(_) => true,
            other => other.decided_at().is_some(),
        }
    }
}
