//! The rules that a run asks: the real ones of `claims::domain`, or a mutant of them.

use claims::domain::authorize::Writer;
use claims::domain::{
    Authorization, Claim, ClaimId, Command, Decision, Heartbeat, Refusal, Renewal, StreamPath,
    Timestamp, TokenDigest, World, authorize, decide, heartbeat,
};

pub(crate) type Decide = fn(&World, &Command, Timestamp) -> Result<Decision, Refusal>;
pub(crate) type Beat =
    fn(Option<&Claim>, &Heartbeat, Timestamp) -> Result<(Claim, Renewal), Refusal>;
pub(crate) type Authorize =
    fn(Option<&Writer>, &StreamPath, &TokenDigest, Timestamp) -> Result<Authorization, Refusal>;

/// What decides.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) decide: Decide,
    pub(crate) heartbeat: Beat,
    pub(crate) authorize: Authorize,
    /// Retention coming by a claim. The service has this in SQL; here it says what T1 and T2 do to the
    /// rows that decisions read.
    pub(crate) prune: fn(&mut World, &ClaimId),
}

impl Rules {
    /// The code that the service runs.
    pub(crate) const REAL: Self =
        Self { decide, heartbeat: heartbeat::heartbeat, authorize, prune };
}

/// T1: a claim that has ended goes, and (T2) nothing else does.
pub(crate) fn prune(world: &mut World, id: &ClaimId) {
    if world.claims.get(id).is_some_and(|claim| claim.ending.is_some()) {
        world.claims.remove(id);
    }
}
