//! The checker itself: a world or a step that breaks a rule is named by that rule.

use super::support::{
    ENTITY, MICRO, Stage, ask, beat_of, consumer, done_of, epoch, id, key, secs, stream,
};
use claims::domain::decide::{Answer, Decision};
use claims::domain::invariants::{Step, check_step, check_world};
use claims::domain::{
    Claim, ClaimId, ClaimState, Command, Done, EndReason, Ending, Entity, EntityState, Fence,
    NumberFloor, Refusal, Timestamp, World, decide,
};

/// A world with a superseded and a current claim on [`ENTITY`], and a finished one elsewhere.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(1).authority("s1"));
    stage.minted(&ask("w2").epoch(2).authority("s1").ceiling(secs(60)));
    let finished = stage.minted(&ask("w3").of("/chat/b"));
    stage.done(&finished).expect("a done");
    stage
}

fn broken_by(change: impl FnOnce(&mut World)) -> &'static str {
    let mut world = stage().world;
    assert_eq!(check_world(&world), Ok(()));
    change(&mut world);
    check_world(&world).expect_err("a broken rule").rule
}

fn broken_by_claim(id: &ClaimId, change: impl FnOnce(&mut Claim)) -> &'static str {
    broken_by(|world| change(world.claims.get_mut(id).expect("a claim")))
}

fn broken_by_entity(path: &str, change: impl FnOnce(&mut Entity)) -> &'static str {
    broken_by(|world| change(world.entities.get_mut(&key(path)).expect("an entity")))
}

#[test]
fn two_active_claims_break_i1() {
    let rule = broken_by_claim(&id("w1", 1), |row| {
        row.state = ClaimState::Active;
        row.superseded_by = None;
    });
    assert_eq!(rule, "I1");
}

#[test]
fn a_current_claim_that_is_not_the_active_one_breaks_i2() {
    let nobody = broken_by_entity(ENTITY, |row| row.current = None);
    let another = broken_by_entity(ENTITY, |row| {
        row.current = Some((consumer("w1"), epoch(1)));
    });
    let no_entity = broken_by(|world| {
        world.entities.remove(&key(ENTITY));
    });
    let no_row = broken_by(|world| {
        world.claims.remove(&id("w2", 2));
    });
    let foreign_key = broken_by_claim(&id("w1", 1), |row| row.id.consumer = consumer("x"));
    for rule in [nobody, another, no_entity, no_row, foreign_key] {
        assert_eq!(rule, "I2");
    }
}

#[test]
fn an_entity_whose_state_does_not_fit_its_claim_breaks_i3() {
    for state in [EntityState::Idle, EntityState::Stopped, EntityState::Killed] {
        assert_eq!(broken_by_entity(ENTITY, |row| row.state = state), "I3");
    }
    for state in [EntityState::Running, EntityState::Stopping] {
        assert_eq!(broken_by_entity("/chat/b", |row| row.state = state), "I3");
    }
    // A superseded claim that outlived KILL.
    let rule = broken_by(|world| {
        world.claims.remove(&id("w2", 2));
        let entity = world.entities.get_mut(&key(ENTITY)).expect("an entity");
        entity.state = EntityState::Killed;
        entity.current = None;
    });
    assert_eq!(rule, "I3");
}

#[test]
fn columns_that_do_not_fit_the_claims_state_break_i4() {
    let unended = broken_by_claim(&id("w3", 1), |row| row.ending = None);
    let unsuperseded = broken_by_claim(&id("w1", 1), |row| row.superseded_by = None);
    let superseded = broken_by_claim(&id("w2", 2), |row| {
        row.superseded_by = Some((consumer("x"), epoch(1)));
    });
    for rule in [unended, unsuperseded, superseded] {
        assert_eq!(rule, "I4");
    }
}

#[test]
fn a_number_used_twice_or_not_counted_breaks_i6() {
    let fence = |number| Fence::parse(number).expect("a fence");
    let no_marks = broken_by(|world| world.marks.clear());
    let uncounted = broken_by_entity(ENTITY, |row| row.fence = fence(1));
    let counted_on = broken_by_entity(ENTITY, |row| row.fence = fence(3));
    let twice = broken_by_claim(&id("w1", 1), |row| row.fence = fence(2));
    let falling = broken_by(|world| {
        let mut claim = world.claims.remove(&id("w1", 1)).expect("a claim");
        claim.id = id("w1", 2);
        world.claims.insert(claim.id.clone(), claim);
    });
    for rule in [no_marks, uncounted, counted_on, twice, falling] {
        assert_eq!(rule, "I6");
    }
}

#[test]
fn a_broken_rule_without_an_invariant_is_named_too() {
    let directive = broken_by_claim(&id("w2", 2), |row| row.lease.stop = true);
    assert_eq!(directive, "H5");
    let beyond = broken_by_claim(&id("w2", 2), |row| {
        row.lease.ceiling_at = Some(row.lease.expires_at - MICRO);
    });
    assert_eq!(beyond, "M6");
    let ending = |change: fn(&mut Ending)| {
        broken_by_claim(&id("w3", 1), |row| change(row.ending.as_mut().expect("an ending")))
    };
    assert_eq!(ending(|ending| ending.entity_cleared = false), "D4");
    assert_eq!(ending(|ending| ending.acked_streams = None), "D7");
    assert_eq!(ending(|ending| ending.reason = EndReason::Failed), "D9");
    let elsewhere = broken_by_claim(&id("w2", 2), |row| row.stream = stream("/chat/b/main"));
    assert_eq!(elsewhere, "W1");
}

/// Plays a done of `w2`, tampers with what became of it, and asks the checker.
fn rule_broken_by_done(tamper: impl FnOnce(&World, &mut World, &mut Decision)) -> &'static str {
    let stage = stage();
    let holder = &stage.world.claims[&id("w2", 2)];
    let command = Command::Done(done_of(holder));
    let mut decision = decide(&stage.world, &command, stage.now).expect("a done");
    let mut after = stage.world.clone();
    after.apply(&decision.changes);
    tamper(&stage.world, &mut after, &mut decision);
    let step = Step::Decided(&command, Ok(&decision));
    check_step(&stage.world, &after, step, stage.now).expect_err("a broken rule").rule
}

#[test]
fn a_step_that_touches_what_is_not_its_own_is_named_by_its_rule() {
    let (w1, w3) = (id("w1", 1), id("w3", 1));
    let terminal_row = rule_broken_by_done(|_, after, _| {
        let row = after.claims.get_mut(&w3).expect("a claim");
        row.progress = Some("more".to_owned());
    });
    assert_eq!(terminal_row, "I4");
    let other_claim = rule_broken_by_done(|_, after, _| {
        let row = after.claims.get_mut(&w1).expect("a claim");
        row.lease.heard_at = row.lease.heard_at + MICRO;
    });
    assert_eq!(other_claim, "I8");
    let other_entity = rule_broken_by_done(|_, after, _| {
        let row = after.entities.get_mut(&key("/chat/b")).expect("an entity");
        row.last_ended_at = None;
    });
    assert_eq!(other_entity, "I8");
    let gone = rule_broken_by_done(|_, after, _| {
        after.claims.remove(&w3);
    });
    assert_eq!(gone, "T1");
}

#[test]
fn a_step_that_does_its_own_work_wrongly_is_named_by_its_rule() {
    let entity = |change: fn(&mut Entity)| {
        rule_broken_by_done(|_, after, _| {
            change(after.entities.get_mut(&key(ENTITY)).expect("an entity"));
        })
    };
    assert_eq!(entity(|row| row.fence = Fence::UNCLAIMED), "I6");
    assert_eq!(entity(|row| row.state = EntityState::Stopped), "I8");
    assert_eq!(entity(|row| row.last_ended_at = None), "D8");
    assert_eq!(entity(|row| row.last_completed_at = None), "D8");
    assert_eq!(entity(|row| row.last_error = Some(String::new())), "D8");
    let claim = |change: fn(&mut Claim)| {
        rule_broken_by_done(|_, after, _| {
            change(after.claims.get_mut(&id("w2", 2)).expect("a claim"));
        })
    };
    let lease = claim(|row| row.lease.expires_at = row.lease.expires_at - MICRO);
    assert_eq!(lease, "I7");
    let heard = claim(|row| row.lease.heard_at = row.lease.heard_at + MICRO);
    assert_eq!(heard, "I7");
    let fixed = claim(|row| row.claimed_at = row.claimed_at + MICRO);
    assert_eq!(fixed, "M2");
    let cleared = claim(|row| row.ending.as_mut().expect("an ending").entity_cleared = false);
    assert_eq!(cleared, "D4");
    let revoked = claim(|row| row.state = ClaimState::Revoked);
    assert_eq!(revoked, "I8");
    assert_eq!(rule_broken_by_done(|_, after, _| after.marks.clear()), "I6");
}

#[test]
fn a_step_whose_answer_or_events_are_not_its_changes_is_named_by_its_rule() {
    let denied = rule_broken_by_done(|_, _, decision| {
        if let Answer::Ended(ended) = &mut decision.answer {
            ended.already_ended = true;
        }
    });
    assert_eq!(denied, "I10");
    let untold = rule_broken_by_done(|_, _, decision| decision.events.clear());
    assert_eq!(untold, "I11");
    let told_twice = rule_broken_by_done(|_, _, decision| {
        let event = decision.events[0].clone();
        decision.events.push(event);
    });
    assert_eq!(told_twice, "I11");
    let by_another = rule_broken_by_done(|_, _, decision| {
        decision.events[0].actor = "reaper".into();
    });
    assert_eq!(by_another, "I11");
    let not_done = rule_broken_by_done(|before, after, _| *after = before.clone());
    assert_eq!(not_done, "I11");
}

#[test]
fn a_refusal_that_changed_something_is_i10() {
    let stage = stage();
    let done = Done { id: id("nobody", 1), ..done_of(&stage.world.claims[&id("w2", 2)]) };
    let command = Command::Done(done);
    let refusal = decide(&stage.world, &command, stage.now).expect_err("refused");
    assert_eq!(refusal, Refusal::ClaimNotFound);
    let step = Step::Decided(&command, Err(&refusal));
    let check = |after: &World| check_step(&stage.world, after, step, stage.now);
    assert_eq!(check(&stage.world), Ok(()));
    let mut after = stage.world.clone();
    // The row of an entity that was only named may come into being.
    after.entities.insert(key("/chat/new"), Entity::unseen(NumberFloor::default()));
    assert_eq!(check(&after), Ok(()));
    after.marks.clear();
    assert_eq!(check(&after).expect_err("a change").rule, "I10");
}

#[test]
fn a_heartbeat_may_cut_a_lease_only_by_the_clock_rule() {
    let stage = stage();
    let holder = stage.world.claims[&id("w2", 2)].clone();
    let beat = beat_of(&holder);
    let (_, renewal) =
        claims::domain::heartbeat::heartbeat(Some(&holder), &beat, stage.now).expect("renewed");
    let check = |expires_at: Timestamp, now| {
        let mut after = stage.world.clone();
        let row = after.claims.get_mut(&holder.id).expect("a claim");
        row.lease.expires_at = expires_at;
        check_step(&stage.world, &after, Step::Heartbeat(&beat, Ok(&renewal)), now)
    };
    let end = holder.lease.expires_at;
    assert_eq!(check(end, stage.now), Ok(()));
    let violation = check(end - MICRO, stage.now).expect_err("moved back");
    assert_eq!(violation.rule, "I7");
    assert_eq!(violation.rows, ["claim default/w2/2"]);
    // The clock stepped back by an hour: now + 10 min is allowed, and nothing below.
    let long_ago = stage.now - secs(3_600);
    assert_eq!(check(long_ago + secs(600), long_ago), Ok(()));
    assert!(check(long_ago + secs(600) - MICRO, long_ago).is_err());
}
