//! What one call may do to a claim: I4, I6, I7, I8 and the table of states.

use super::Step;
use crate::domain::claim::{Claim, ClaimState};
use crate::domain::command::{Command, EntitySignal};
use crate::domain::entity::Entity;
use crate::domain::invariants::{Row, Violation, require};
use crate::domain::lease::{LEASE_TTL_MAX, Lease};
use crate::domain::time::Timestamp;
use crate::domain::world::World;

/// I6: a new claim has the next fence and an epoch above the mark, and raises the mark to it.
pub(super) fn check_new_claim(
    before: &World,
    after: &World,
    claim: &Claim,
    step: Step<'_>,
) -> Result<(), Violation> {
    let (id, key) = (&claim.id, claim.entity_key());
    let rows: &[&dyn Row] = &[id, &key];
    let by_mint = matches!(step, Step::Decided(Command::Mint(_), _));
    let answered = by_mint && step.named_claim().as_ref() == Some(id);
    require(answered, "I8", "a claim that no mint asked for", rows)?;
    let risen = before.mark(&key, &claim.authority) < Some(id.epoch);
    require(risen, "I6", "an epoch that is not above the mark", rows)?;
    let marked = after.mark(&key, &claim.authority) == Some(id.epoch);
    require(marked, "I6", "a mint that did not raise the mark", rows)?;
    let next = before.entity(&key).fence.next() == Some(claim.fence);
    require(next, "I6", "a mint without the next fence", rows)?;
    let active = claim.state == ClaimState::Active;
    require(active, "I2", "a minted claim that is not active", rows)
}

/// I4, I7, I8 and H6 for a claim that the call changed.
pub(super) fn check_changed_claim(
    before: &World,
    old: &Claim,
    new: &Claim,
    step: Step<'_>,
    now: Timestamp,
) -> Result<(), Violation> {
    let id = &old.id;
    require(old.state.is_live(), "I4", "a terminal claim changed", &[id])?;
    let entity = before.entity(&old.entity_key());
    require(may_change(&entity, old, step), "I8", "a call changed another claim", &[id])?;

    let minted_again = new.fence != old.fence || new.token_digest != old.token_digest;
    let fixed = Claim {
        fence: new.fence,
        token_digest: new.token_digest,
        state: new.state,
        superseded_by: new.superseded_by.clone(),
        lease: new.lease,
        progress: new.progress.clone(),
        ending: new.ending.clone(),
        ..old.clone()
    };
    require(fixed == *new, "M2", "what is fixed at mint changed", &[id])?;
    check_lease(old, new, now)?;
    if new.state == ClaimState::Active {
        return check_still_active(&entity, old, new, minted_again, step);
    }
    let untouched = !minted_again && new.lease == old.lease && new.progress == old.progress;
    require(untouched, "I7", "an ended claim lost its lease or token", &[id])?;
    require(may_end_as(new, step), "I8", "a call ended a claim as another would", &[id])?;
    let Some(ending) = &new.ending else {
        let was_active = old.state == ClaimState::Active;
        return require(was_active, "I4", "superseded twice", &[id]);
    };
    let taken_over = new.superseded_by == old.superseded_by;
    require(taken_over, "I4", "an end that names another successor", &[id])?;
    let cleared = entity.is_current(id) == ending.entity_cleared;
    require(cleared, "D4", "entity_cleared is not what was", &[id])?;
    require(ending.at == now, "D3", "an end at another time", &[id])
}

/// I8: the claim that the call names; the predecessor of a mint; what a signal reaches.
fn may_change(entity: &Entity, old: &Claim, step: Step<'_>) -> bool {
    if step.named_claim().as_ref() == Some(&old.id) {
        return true;
    }
    match step {
        Step::Decided(Command::Mint(mint), _) => {
            old.entity_key() == mint.entity_key() && entity.is_current(&old.id)
        }
        Step::Decided(Command::Signal(signal), _) => {
            let reaches = signal.signal == EntitySignal::Kill || entity.is_current(&old.id);
            old.entity_key() == signal.entity && reaches
        }
        _ => false,
    }
}

/// I7, H2: what is fixed of a lease stays, and it never moves back, but for the clock rule.
fn check_lease(old: &Claim, new: &Claim, now: Timestamp) -> Result<(), Violation> {
    let id = &old.id;
    let fixed = Lease {
        expires_at: new.lease.expires_at,
        last_heartbeat_at: new.lease.last_heartbeat_at,
        heard_at: new.lease.heard_at,
        stop: new.lease.stop,
        ..old.lease
    };
    require(fixed == new.lease, "H6", "a lease's length or ceiling changed", &[id])?;
    let kept = old.lease.expires_at.min(now + LEASE_TTL_MAX);
    let not_back = new.lease.expires_at >= kept;
    require(not_back, "I7", "a lease moved back", &[id])
}

/// A claim that stays active: renewed (H6), minted again (M2), or told to stop (H5).
fn check_still_active(
    entity: &Entity,
    old: &Claim,
    new: &Claim,
    minted_again: bool,
    step: Step<'_>,
) -> Result<(), Violation> {
    let id = &old.id;
    let was_active = old.state == ClaimState::Active;
    require(was_active, "I4", "a superseded claim became active", &[id])?;
    match step {
        Step::Decided(Command::Mint(mint), _) => {
            let fresh = entity.fence.next() == Some(new.fence)
                && new.token_digest == mint.token_digest
                && new.lease.stop == old.lease.stop
                && new.progress == old.progress;
            require(fresh, "M2", "minted again without next fence and token", &[id])
        }
        Step::Decided(Command::Signal(_), _) => {
            let told = Claim { lease: Lease { stop: new.lease.stop, ..old.lease }, ..old.clone() };
            require(told == *new, "I8", "a signal changed more than the directive", &[id])
        }
        Step::Heartbeat(..) => {
            let renewed = !minted_again && new.lease.stop == old.lease.stop;
            require(renewed, "H6", "a heartbeat changed more than a lease", &[id])
        }
        Step::Decided(..) => require(false, "I8", "a call changed a claim it must end", &[id]),
    }
}

/// Whether this call brings claims to that state: the table of states.
fn may_end_as(claim: &Claim, step: Step<'_>) -> bool {
    let Step::Decided(command, _) = step else {
        return false;
    };
    match (command, claim.state) {
        (Command::Mint(_), ClaimState::Superseded) => {
            let by = step.named_claim().map(|id| (id.consumer, id.epoch));
            by.is_some() && by == claim.superseded_by
        }
        (Command::Mint(_) | Command::Expire(_), ClaimState::Expired)
        | (Command::Done(_), ClaimState::Released | ClaimState::Failed)
        | (Command::Revoke(_), ClaimState::Revoked) => true,
        (Command::Signal(signal), ClaimState::Revoked) => signal.signal == EntitySignal::Kill,
        _ => false,
    }
}
