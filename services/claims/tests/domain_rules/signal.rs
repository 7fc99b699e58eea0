//! The table of signals: every signal in every state, with and without a claim.

use super::support::{ENTITY, Stage, ask, consumer, epoch, key, secs};
use claims::domain::EntitySignal::{Cont, Kill, Stop, Term};
use claims::domain::EntityState::{Idle, Killed, Paused, Running, Stopped, Stopping};
use claims::domain::{
    ClaimState, EndReason, Entity, EntitySignal, EntityState, EventType, Fence, NumberFloor,
    Refusal,
};

/// What a signal does: brings about a state, holds already, or is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Becomes(EntityState),
    Holds,
    NotApplicable,
    Terminal,
}

use Effect::{Becomes, Holds, NotApplicable, Terminal};

/// State, whether with a claim, and the effects of STOP, CONT, TERM and KILL.
const TABLE: [(EntityState, bool, [Effect; 4]); 7] = [
    (Idle, false, [Becomes(Paused), Holds, Becomes(Stopped), Becomes(Killed)]),
    (Running, true, [Becomes(Paused), Holds, Becomes(Stopping), Becomes(Killed)]),
    (Paused, false, [Holds, Becomes(Idle), Becomes(Stopped), Becomes(Killed)]),
    (Paused, true, [Holds, Becomes(Running), Becomes(Stopping), Becomes(Killed)]),
    (Stopping, true, [NotApplicable, NotApplicable, Holds, Becomes(Killed)]),
    (Stopped, false, [Terminal, Terminal, Holds, Terminal]),
    (Killed, false, [Terminal, Terminal, Terminal, Holds]),
];

fn cells() -> impl Iterator<Item = (EntityState, bool, EntitySignal, Effect)> {
    TABLE.into_iter().flat_map(|(state, with_claim, effects)| {
        EntitySignal::ALL
            .into_iter()
            .zip(effects)
            .map(move |(signal, effect)| (state, with_claim, signal, effect))
    })
}

#[test]
fn every_signal_does_in_every_state_what_the_table_says() {
    for (state, with_claim, signal, effect) in cells() {
        let cell = format!("{signal:?} on {state:?}, claim: {with_claim}");
        let mut stage = Stage::with_entity(state, with_claim);
        stage.wait(secs(3));
        let before = stage.world.clone();
        let told = stage.events.len();
        let outcome = stage.signal(signal);
        let signaled_events = stage.told_since(told);
        match effect {
            Becomes(after) => {
                let signaled = outcome.expect("an effective signal");
                assert!(signaled.changed, "{cell}");
                assert_eq!(stage.entity().state, after, "{cell}");
                assert_eq!(signaled.entity, stage.entity(), "{cell}");
                let last = (EventType::Signaled, signal.as_str(), "olga");
                assert_eq!(signaled_events.last(), Some(&last), "{cell}");
                let holder = stage.world.current_claim(&key(ENTITY)).cloned();
                assert_eq!(signaled.current_claim, holder, "{cell}");
            }
            Holds => {
                let signaled = outcome.expect("a signal whose effect holds");
                assert!(!signaled.changed, "{cell}");
                assert_eq!(signaled.entity, stage.entity(), "{cell}");
                let holder = stage.world.current_claim(&key(ENTITY)).cloned();
                assert_eq!(signaled.current_claim, holder, "{cell}");
            }
            NotApplicable => {
                assert_eq!(outcome, Err(Refusal::SignalNotApplicable(state)), "{cell}");
            }
            Terminal => assert_eq!(outcome, Err(Refusal::EntityTerminal(state)), "{cell}"),
        }
        if !matches!(effect, Becomes(_)) {
            assert_eq!(stage.world, before, "{cell}");
            assert!(signaled_events.is_empty(), "{cell}");
        }
    }
}

#[test]
fn no_signal_but_kill_ends_a_claim_or_its_token() {
    for (state, with_claim, signal, effect) in cells() {
        if !with_claim || signal == Kill {
            continue;
        }
        let mut stage = Stage::with_entity(state, true);
        let before = stage.world.current_claim(&key(ENTITY)).cloned();
        let before = before.expect("a current claim");
        stage.signal(signal).ok();
        let after = stage.claim(&before);
        assert_eq!(after.state, ClaimState::Active, "{signal:?} {state:?} {effect:?}");
        assert_eq!(after.lease.expires_at, before.lease.expires_at);
        assert_eq!(after.fence, before.fence);
        stage.write_by(&before).expect("the holder goes on");
    }
}

#[test]
fn a_signal_makes_the_row_of_an_entity_that_nobody_named_before() {
    for (signal, after) in [(Stop, Paused), (Term, Stopped), (Kill, Killed)] {
        let mut stage = Stage::new();
        let signaled = stage.signal(signal).expect("a signal");
        assert!(signaled.changed);
        let row = Entity { state: after, ..Entity::unseen(NumberFloor::default()) };
        assert_eq!(stage.entity(), row);
        assert_eq!(stage.events[0].fence, Fence::UNCLAIMED);
    }
    let mut stage = Stage::new();
    assert!(!stage.signal(Cont).expect("a signal").changed);
    assert!(stage.events.is_empty());
}

#[test]
fn a_signal_does_not_reach_another_entity_or_tenant() {
    for signal in EntitySignal::ALL {
        let mut stage = Stage::new();
        let here = stage.minted(&ask("w1"));
        let there = stage.minted(&ask("w2").of("/chat/b"));
        let elsewhere = stage.minted(&ask("w1").of_tenant("other"));
        stage.signal(signal).expect("a signal");
        assert_eq!(stage.claim(&there), there);
        assert_eq!(stage.claim(&elsewhere), elsewhere);
        assert_eq!(stage.claim(&here).state.is_live(), signal != Kill);
    }
}

#[test]
fn a_signals_reason_is_told_with_its_name() {
    let mut stage = Stage::new();
    stage.signal_to(ENTITY, Stop, "night").expect("paused");
    stage.signal_to(ENTITY, Cont, "").expect("idle");
    assert_eq!(
        stage.told_since(0),
        [(EventType::Signaled, "stop: night", "olga"), (EventType::Signaled, "cont", "olga"),]
    );
}

#[test]
fn a_signals_event_names_no_claim_and_carries_the_entitys_fence() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(Stop).expect("paused");
    let event = &stage.events[1];
    assert_eq!(event.claim, None);
    assert_eq!(event.fence, claim.fence);
    assert_eq!(event.entity, key(ENTITY));
}

// STOP, CONT and TERM carry the directive (H5)

#[test]
fn the_directive_follows_the_entitys_state() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let told = |stage: &Stage| stage.claim(&claim).lease.stop;
    assert!(!told(&stage));
    stage.signal(Stop).expect("paused");
    assert!(told(&stage));
    stage.signal(Cont).expect("running");
    assert!(!told(&stage));
    stage.signal(Stop).expect("paused");
    stage.signal(Term).expect("stopping");
    assert!(told(&stage));
}

#[test]
fn a_claim_after_a_pause_is_not_born_with_the_directive() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(Stop).expect("paused");
    stage.done(&claim).expect("a done");
    stage.signal(Cont).expect("idle");
    assert!(!stage.minted(&ask("w2")).lease.stop);
}

#[test]
fn a_signal_does_not_tell_a_superseded_holder_to_stop() {
    let (mut stage, old) = Stage::with_claim(ClaimState::Superseded, &ask("w1"));
    stage.signal(Stop).expect("paused");
    assert_eq!(stage.claim(&old), old);
}

// KILL

#[test]
fn kill_revokes_the_current_and_every_superseded_claim() {
    let mut stage = Stage::new();
    let claims: Vec<_> = (1..=3)
        .map(|number| stage.minted(&ask(&format!("w{number}")).epoch(number).authority("s1")))
        .collect();
    let elsewhere = stage.minted(&ask("w0").of("/chat/b"));
    stage.wait(secs(2));
    let told = stage.events.len();
    let signaled = stage.signal_to(ENTITY, Kill, "enough").expect("killed");
    assert_eq!(signaled.current_claim, None);
    for claim in &claims {
        let ended = stage.claim(claim);
        assert_eq!(ended.state, ClaimState::Revoked);
        let ending = ended.ending.expect("an ending");
        assert_eq!(ending.reason, EndReason::Killed);
        assert_eq!(ending.entity_cleared, claim.id.consumer == consumer("w3"));
        assert_eq!(stage.write_by(claim), Err(Refusal::WriteTokenInvalid));
    }
    assert_eq!(
        stage.told_since(told),
        [
            (EventType::Revoked, "killed", "olga"),
            (EventType::Revoked, "killed", "olga"),
            (EventType::Revoked, "killed", "olga"),
            (EventType::Signaled, "kill: enough", "olga"),
        ]
    );
    let fences: Vec<i64> = stage.events[told..].iter().map(|event| event.fence.get()).collect();
    assert_eq!(fences, [1, 2, 3, 3], "oldest first, then the signal");
    assert_eq!(stage.claim(&elsewhere), elsewhere);
    let entity = stage.entity();
    assert_eq!(entity.current, None);
    assert_eq!(entity.last_ended_at, Some(stage.now));
    assert_eq!(entity.last_completed_at, None);
}

#[test]
fn kill_does_not_change_how_a_claim_ended() {
    let mut stage = Stage::new();
    let done = stage.minted(&ask("w1"));
    stage.done(&done).expect("a done");
    let done = stage.claim(&done);
    stage.minted(&ask("w2"));
    stage.signal(Kill).expect("killed");
    assert_eq!(stage.claim(&done), done);
}

#[test]
fn kill_reaches_superseded_claims_of_an_entity_without_a_current_one() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w2").epoch(2).authority("s1"));
    stage.done(&new).expect("a done");
    let ended_at = stage.entity().last_ended_at;
    stage.wait(secs(2));
    stage.signal(Kill).expect("killed");
    let ended = stage.claim(&old);
    assert_eq!(ended.state, ClaimState::Revoked);
    assert_eq!(ended.superseded_by, Some((consumer("w2"), epoch(2))));
    assert_eq!(stage.entity().last_ended_at, ended_at, "D8: no current claim ended");
}

#[test]
fn done_after_kill_is_told_and_changes_nothing() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(Kill).expect("killed");
    let ended = stage.done(&claim).expect("told");
    assert!(ended.already_ended);
    assert_eq!(ended.entity_state, Killed);
    assert_eq!(ended.claim.state, ClaimState::Revoked);
}
