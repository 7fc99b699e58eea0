//! What may be asked of the domain.

use super::claim::{AckedStream, ClaimId, ClaimState};
use super::entity::EntityKey;
use super::epoch::Epoch;
use super::lease::LeaseTtl;
use super::names::{
    Authority, ConsumerId, EntityUrl, RequestId, RunnerId, StreamPath, TenantId, Text, WakeId,
};
use super::token::TokenDigest;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a done's error message.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 1024;
/// Most bytes of an operator's reason.
pub const REASON_BYTES_MAX: usize = 256;

/// One decision to take.
#[derive(Clone, Debug)]
pub enum Command {
    /// Claim an entity.
    Mint(Mint),
    /// Finish a claim.
    Done(Done),
    /// End a claim from outside.
    Revoke(Revoke),
    /// Pause, continue or end an entity.
    Signal(Signal),
    /// End a claim that nobody finished.
    Expire(Expire),
}

/// Claim an entity.
#[derive(Clone, Debug)]
pub struct Mint {
    /// The tenant.
    pub tenant: TenantId,
    /// What to claim.
    pub entity: EntityUrl,
    /// The stream to write to.
    pub stream: StreamPath,
    /// Who will hold the claim.
    pub consumer: ConsumerId,
    /// The epoch that the caller's authority gave, or none to be issued one.
    pub epoch: Option<Epoch>,
    /// Who gave the epoch; empty without one.
    pub authority: Authority,
    /// The wake that this answers.
    pub wake_id: WakeId,
    /// The process that will work.
    pub runner_id: RunnerId,
    /// Names this request, so that it can be repeated.
    pub request_id: RequestId,
    /// The lease asked for, if any; a re-mint without one renews by the claim's own.
    pub asked_ttl: Option<LeaseTtl>,
    /// The lease of a new claim (M6).
    pub ttl: LeaseTtl,
    /// The ceiling of a new claim, counted from mint (M6).
    pub max_duration: Option<Duration>,
    /// Take over even a claim that is not takeable (M4).
    pub supersede: bool,
    /// Digest of the fresh token that goes with the claim if it is accepted.
    pub token_digest: TokenDigest,
}

impl Mint {
    /// The entity's key.
    #[must_use]
    pub fn entity_key(&self) -> EntityKey {
        EntityKey { tenant: self.tenant.clone(), url: self.entity.clone() }
    }

    /// The identity that the caller gave, if it gave an epoch.
    #[must_use]
    pub fn given_id(&self) -> Option<ClaimId> {
        self.epoch.map(|epoch| self.id_with(epoch))
    }

    /// The identity with that epoch.
    #[must_use]
    pub fn id_with(&self, epoch: Epoch) -> ClaimId {
        ClaimId { tenant: self.tenant.clone(), consumer: self.consumer.clone(), epoch }
    }
}

/// How the work went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DoneOutcome {
    /// It was completed.
    Completed,
    /// It failed.
    Failed,
}

/// Finish a claim, by its identity alone (D2).
#[derive(Clone, Debug)]
pub struct Done {
    /// The claim.
    pub id: ClaimId,
    /// Digest of the token that was supplied, if one was.
    pub token: Option<TokenDigest>,
    /// What was read, stored as given (D7).
    pub acked_streams: Vec<AckedStream>,
    /// How the work went.
    pub outcome: DoneOutcome,
    /// What went wrong; may be empty.
    pub error_message: Text<ERROR_MESSAGE_BYTES_MAX>,
}

/// End a claim from outside; an operator's act.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// The claim.
    pub id: ClaimId,
    /// Why; empty means `revoked`.
    pub reason: Text<REASON_BYTES_MAX>,
    /// Who.
    pub actor: Arc<str>,
}

/// What an operator may tell an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntitySignal {
    /// Pause.
    Stop,
    /// Go on.
    Cont,
    /// End when the current claim ends.
    Term,
    /// End at once; the only signal that touches claims.
    Kill,
}

impl EntitySignal {
    /// Every signal, in the order of the wire.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Cont, Self::Term, Self::Kill];

    /// The name under which the signal is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Term => "term",
            Self::Kill => "kill",
        }
    }
}

/// Pause, continue or end an entity.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The entity.
    pub entity: EntityKey,
    /// What to do.
    pub signal: EntitySignal,
    /// Why; may be empty.
    pub reason: Text<REASON_BYTES_MAX>,
    /// Who.
    pub actor: Arc<str>,
}

/// End a claim that nobody finished, if it is due (R1).
#[derive(Clone, Debug)]
pub struct Expire {
    /// The claim.
    pub id: ClaimId,
    /// How long after becoming takeable a claim is left alone.
    pub reap_grace: Duration,
}

/// Why a claim ended (D9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The holder completed it.
    Done,
    /// The holder failed it.
    Failed,
    /// Its lease lapsed.
    LeaseLapsed,
    /// Its lapsed lease ended at the ceiling.
    CeilingReached,
    /// Its entity was killed.
    Killed,
    /// What an operator said.
    Operator(Arc<str>),
}

impl EndReason {
    /// The reason as it was stored with a claim that ended in `state`.
    #[must_use]
    pub fn from_stored(state: ClaimState, reason: &str) -> Self {
        match (state, reason) {
            (ClaimState::Released, _) => Self::Done,
            (ClaimState::Failed, _) => Self::Failed,
            (ClaimState::Expired, "ceiling_reached") => Self::CeilingReached,
            (ClaimState::Expired, _) => Self::LeaseLapsed,
            (_, "killed") => Self::Killed,
            (_, other) => Self::Operator(other.into()),
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::LeaseLapsed => "lease_lapsed",
            Self::CeilingReached => "ceiling_reached",
            Self::Killed => "killed",
            Self::Operator(reason) => reason,
        })
    }
}
