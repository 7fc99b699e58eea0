//! M2: a request that names a kept claim.

use super::support::{Ask, MICRO, START, Stage, ask, consumer, epoch, id, key, secs, ttl};
use claims::domain::{ClaimState, EntityState, EventType, Liveness, Refusal};

/// Two ways to name the claim of `w1`: by its epoch, and by the request that made it.
fn named_twice() -> [(Ask, Ask); 2] {
    let by_epoch = ask("w1").epoch(3).authority("s1").request("q1");
    let by_request = ask("w1").request("q1");
    [(by_epoch.clone(), by_epoch), (by_request.clone(), by_request)]
}

// The same caller

#[test]
fn a_lost_answer_is_healed_by_asking_again() {
    for (first, again) in named_twice() {
        let mut stage = Stage::new();
        let old = stage.minted(&first.ceiling(secs(3_600)));
        stage.wait(secs(10));
        let told = stage.events.len();
        let minted = stage.mint(&again).expect("accepted again");
        assert!(minted.reminted);
        assert_eq!(minted.ended_predecessor, None);
        let new = minted.claim;
        assert_eq!(new.id, old.id, "the same row");
        assert_eq!(new.claimed_at, old.claimed_at);
        assert_eq!(new.lease.ceiling_at, old.lease.ceiling_at);
        assert_eq!(new.lease.expires_at, stage.now + secs(30));
        assert_eq!(new.lease.heard_at, stage.now);
        assert_eq!(new.fence.get(), old.fence.get() + 1);
        assert_eq!(stage.entity().fence, new.fence);
        assert_eq!(stage.entity().state, EntityState::Running);
        assert_eq!(stage.world.claims.len(), 1);
        assert_eq!(stage.told_since(told), [(EventType::Reminted, "", "holder")]);
        assert_eq!(stage.events[told].fence, new.fence);
        assert_eq!(stage.write_by(&old), Err(Refusal::WriteTokenInvalid));
        let write = stage.write_by(&new).expect("the fresh token writes");
        assert_eq!(write.fence, new.fence);
    }
}

#[test]
fn a_remint_does_not_raise_the_mark() {
    let mut stage = Stage::new();
    let again = ask("w1").epoch(3).authority("s1").request("q1");
    stage.minted(&again);
    let marks = stage.world.marks.clone();
    stage.minted(&again);
    assert_eq!(stage.world.marks, marks);
}

#[test]
fn each_remint_takes_the_next_fence_and_kills_the_token_before() {
    let mut stage = Stage::new();
    let again = ask("w1").request("q1");
    let mut claims = vec![stage.minted(&again)];
    for _ in 0..3 {
        claims.push(stage.minted(&again));
    }
    let fences: Vec<i64> = claims.iter().map(|claim| claim.fence.get()).collect();
    assert_eq!(fences, [1, 2, 3, 4]);
    for dead in &claims[..3] {
        assert_eq!(stage.write_by(dead), Err(Refusal::WriteTokenInvalid));
    }
    stage.write_by(&claims[3]).expect("the last one");
}

#[test]
fn equal_runners_are_the_same_caller_where_one_side_has_no_request_id() {
    let named = |request: &str| ask("w1").epoch(3).authority("s1").runner("r1").request(request);
    for (first, again) in [("", ""), ("q1", ""), ("", "q1")] {
        let mut stage = Stage::new();
        stage.minted(&named(first));
        let minted = stage.mint(&named(again)).expect("the same caller");
        assert!(minted.reminted);
        // The row keeps the request that made it.
        assert_eq!(minted.claim.request_id.as_str(), first);
    }
}

#[test]
fn equal_request_ids_are_the_same_caller_though_the_runners_differ() {
    let mut stage = Stage::new();
    let named = ask("w1").epoch(3).request("q1");
    stage.minted(&named.clone().runner("r1"));
    assert!(stage.mint(&named.runner("r2")).expect("accepted").reminted);
}

#[test]
fn a_lapsed_even_takeable_claim_is_renewed_for_its_own_caller() {
    for (first, again) in named_twice() {
        let mut stage = Stage::new();
        let old = stage.minted(&first);
        stage.wait(secs(3_600));
        let new = stage.minted(&again);
        assert_eq!(new.id, old.id);
        assert_eq!(new.state, ClaimState::Active);
        assert_eq!(new.lease.expires_at, stage.now + secs(30));
    }
}

#[test]
fn a_remint_never_moves_the_lease_back() {
    let mut stage = Stage::new();
    let named = ask("w1").request("q1");
    stage.minted(&named.clone().ttl(secs(300)));
    let new = stage.minted(&named.ttl(secs(1)));
    assert_eq!(new.lease.expires_at, START + secs(300));
    assert_eq!(new.lease.ttl, ttl(300), "the claim's own length stays");
}

#[test]
fn a_remint_renews_by_the_length_asked_for_or_else_the_claims_own() {
    let mut stage = Stage::new();
    let named = ask("w1").request("q1");
    stage.minted(&named.clone().ttl(secs(100)));
    stage.wait(secs(50));
    let own = stage.minted(&named);
    assert_eq!(own.lease.expires_at, stage.now + secs(100));
    let asked = stage.minted(&named.ttl(secs(200)));
    assert_eq!(asked.lease.expires_at, stage.now + secs(200));
}

#[test]
fn a_remint_cannot_lift_the_ceiling_nor_pass_it() {
    let mut stage = Stage::new();
    let named = ask("w1").request("q1");
    stage.minted(&named.clone().ceiling(secs(60)));
    stage.wait(secs(50));
    let new = stage.minted(&named.ceiling(secs(3_600)).ttl(secs(600)));
    assert_eq!(new.lease.ceiling_at, Some(START + secs(60)));
    assert_eq!(new.lease.expires_at, START + secs(60));
}

#[test]
fn a_remint_at_or_after_the_ceiling_is_refused() {
    let named = ask("w1").request("q1").ceiling(secs(60));
    let mut stage = Stage::new();
    stage.minted(&named);
    stage.wait(secs(60) - MICRO);
    let last = stage.minted(&named);
    stage.wait(MICRO);
    assert_eq!(stage.refused(&named), Refusal::CeilingReached);
    stage.wait(secs(60));
    assert_eq!(stage.refused(&named), Refusal::CeilingReached);
    assert_eq!(stage.claim(&last), last);
}

#[test]
fn a_remint_is_being_heard_of_and_protects_after_an_outage() {
    let named = ask("w1").request("q1").ttl(secs(10));
    let mut stage = Stage::new();
    let claim = stage.minted(&named);
    stage.silence(secs(60));
    stage.resume();
    assert!(claim.lease.heard_at < stage.now);
    let new = stage.minted(&named);
    // Heard of since the outage: the lease alone decides.
    let takeable_at = new.lease.takeable_at(&stage.world.liveness, stage.now);
    assert_eq!(takeable_at, stage.now + secs(10));
}

#[test]
fn supersede_does_not_supersede_the_callers_own_claim() {
    for (first, again) in named_twice() {
        let mut stage = Stage::new();
        stage.minted(&first);
        let minted = stage.mint(&again.supersede()).expect("accepted again");
        assert!(minted.reminted);
        assert_eq!(stage.world.claims.len(), 1);
    }
}

// Another caller

#[test]
fn another_caller_does_not_get_an_active_claim_again() {
    let first = ask("w1").epoch(3).authority("s1");
    let cases = [
        // Request ids on both sides that differ decide, whatever the runners.
        (first.clone().request("q1").runner("r1"), first.clone().request("q2").runner("r1")),
        (first.clone().runner("r1"), first.clone().runner("r2")),
        (first.clone().runner("r1"), first.clone()),
        (first.clone(), first.clone().runner("r1")),
        // Empty runners are nobody, not the same one.
        (first.clone(), first.clone()),
        (first.clone().request("q1"), first.clone()),
        (first.clone(), first.clone().request("q1")),
        (first.clone().request("q1").runner("r1"), first.runner("r2")),
    ];
    for (first, again) in cases {
        let mut stage = Stage::new();
        let claim = stage.minted(&first);
        stage.wait(secs(12));
        for again in [again.clone(), again.clone().supersede()] {
            assert_eq!(
                stage.refused(&again),
                Refusal::AlreadyClaimed {
                    holder: consumer("w1"),
                    epoch: epoch(3),
                    takeable_in: secs(18),
                }
            );
        }
        // Exactly at the end of the lease the epoch is spent.
        stage.wait(secs(18) - MICRO);
        assert!(matches!(stage.refused(&again), Refusal::AlreadyClaimed { .. }));
        stage.wait(MICRO);
        let fenced = Refusal::EpochFenced { highest: epoch(3) };
        assert_eq!(stage.refused(&again), fenced);
        assert_eq!(stage.claim(&claim), claim);
    }
}

// Named claims that are not active

fn refusal_by_state(stage: &Stage, state: ClaimState) -> Refusal {
    if state == ClaimState::Superseded {
        return Refusal::ClaimSuperseded { by_consumer: consumer("newer"), by_epoch: epoch(1) };
    }
    let reason = match state {
        ClaimState::Released => "done",
        ClaimState::Failed => "failed",
        ClaimState::Expired => "lease_lapsed",
        _ => "revoked",
    };
    Refusal::ClaimEnded { state, end_time: stage.now, end_reason: reason.to_owned() }
}

#[test]
fn a_finished_or_superseded_claim_is_never_reactivated() {
    let states = ClaimState::ALL.into_iter().filter(|state| *state != ClaimState::Active);
    for state in states {
        let by_epoch = ask("w1").epoch(3).authority("s1").request("q1");
        let (mut stage, claim) = Stage::with_claim(state, &by_epoch);
        let refusal = refusal_by_state(&stage, state);
        assert_eq!(stage.refused(&by_epoch), refusal);
        assert_eq!(stage.refused(&by_epoch.clone().supersede()), refusal);
        assert_eq!(stage.claim(&claim), claim);
    }
}

#[test]
fn a_finished_or_superseded_claim_is_not_reactivated_by_its_request_either() {
    let states = ClaimState::ALL.into_iter().filter(|state| *state != ClaimState::Active);
    for state in states {
        let by_request = ask("w1").request("q1");
        let (mut stage, claim) = Stage::with_claim(state, &by_request);
        let refusal = match refusal_by_state(&stage, state) {
            // Both are numbered by this service.
            Refusal::ClaimSuperseded { by_consumer, .. } => {
                Refusal::ClaimSuperseded { by_consumer, by_epoch: epoch(2) }
            }
            other => other,
        };
        assert_eq!(stage.refused(&by_request), refusal);
        assert_eq!(stage.claim(&claim), claim);
    }
}

#[test]
fn a_claims_state_is_told_before_what_differs() {
    let (mut stage, _) = Stage::with_claim(ClaimState::Released, &ask("w1").epoch(3));
    let elsewhere = ask("w1").of("/chat/b").epoch(3);
    assert!(matches!(stage.refused(&elsewhere), Refusal::ClaimEnded { .. }));
}

// Identities in use

#[test]
fn an_identity_is_not_used_for_another_entity_stream_or_authority() {
    let first = ask("w1").epoch(3).authority("s1").request("q1").runner("r1");
    let elsewhere = [
        first.clone().of("/chat/b"),
        first.clone().to("/chat/a/log"),
        first.clone().authority("s2"),
        first.clone().authority(""),
    ];
    for again in elsewhere {
        let mut stage = Stage::new();
        let claim = stage.minted(&first);
        let refusal = Refusal::IdentityInUse { entity: claim.entity.clone() };
        assert_eq!(stage.refused(&again), refusal);
        assert_eq!(stage.refused(&again.clone().supersede()), refusal);
        // Neither is another caller told more, nor does a lapsed lease free the identity.
        assert_eq!(stage.refused(&again.clone().request("q2")), refusal);
        stage.wait(secs(3_600));
        assert_eq!(stage.refused(&again), refusal);
    }
}

#[test]
fn a_request_id_is_not_used_for_another_stream_or_authority() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").request("q1"));
    let refusal = Refusal::IdentityInUse { entity: claim.entity };
    assert_eq!(stage.refused(&ask("w1").request("q1").to("/chat/a/log")), refusal);

    let mut stage = Stage::new();
    stage.minted(&ask("w1").request("q1").epoch(3).authority("s1"));
    assert_eq!(stage.refused(&ask("w1").request("q1")), refusal);
}

#[test]
fn the_same_identity_in_another_tenant_is_another_claim() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(3));
    let other = stage.mint(&ask("w1").epoch(3).of_tenant("other").of("/chat/b"));
    assert!(!other.expect("accepted").reminted);
}

// What a request id names

#[test]
fn a_request_id_names_no_claim_of_another_consumer() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").request("q1"));
    assert!(matches!(stage.refused(&ask("w2").request("q1")), Refusal::AlreadyClaimed { .. }));
}

#[test]
fn a_request_id_names_no_claim_of_another_entity() {
    let mut stage = Stage::new();
    let first = stage.minted(&ask("w1").request("q1"));
    let second = stage.mint(&ask("w1").request("q1").of("/chat/b")).expect("accepted");
    assert!(!second.reminted);
    assert_ne!(second.claim.id, first.id);
}

#[test]
fn an_empty_request_id_names_nothing() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").runner("r1"));
    assert!(matches!(stage.refused(&ask("w1").runner("r1")), Refusal::AlreadyClaimed { .. }));
}

#[test]
fn a_given_epoch_outweighs_the_request_id() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").request("q1").epoch(3).authority("s1"));
    // Epoch 4 names no claim, so this is a new one, though the request id is known.
    let new = stage.minted(&ask("w1").request("q1").epoch(4).authority("s1"));
    assert_eq!(new.id, id("w1", 4));
    assert_eq!(stage.claim(&old).state, ClaimState::Superseded);
}

#[test]
fn a_request_id_names_the_newest_claim_by_fence_not_by_epoch() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").request("q1").epoch(9).authority("s1"));
    stage.done(&old).expect("a done");
    // A lower epoch of another authority, but the higher fence.
    let new = stage.minted(&ask("w1").request("q1").epoch(2));
    assert!(new.fence > old.fence && new.id.epoch < old.id.epoch);
    let minted = stage.mint(&ask("w1").request("q1")).expect("accepted again");
    assert!(minted.reminted);
    assert_eq!(minted.claim.id, new.id);
}

#[test]
fn a_request_id_whose_newest_claim_has_ended_revives_no_older_one() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").request("q1").epoch(3).authority("s1"));
    let new = stage.minted(&ask("w1").request("q1").epoch(4).authority("s1"));
    stage.done(&new).expect("a done");
    assert!(matches!(
        stage.refused(&ask("w1").request("q1")),
        Refusal::ClaimEnded { state: ClaimState::Released, .. }
    ));
    assert_eq!(stage.claim(&old).state, ClaimState::Superseded);
}

#[test]
fn a_request_id_is_free_again_once_its_claim_is_pruned() {
    let (mut stage, claim) = Stage::with_claim(ClaimState::Released, &ask("w1").request("q1"));
    stage.world.claims.remove(&claim.id);
    let minted = stage.mint(&ask("w1").request("q1")).expect("accepted");
    assert!(!minted.reminted);
    // The mark outlived the row (T2).
    assert_eq!(minted.claim.id, id("w1", 2));
}

#[test]
fn the_fence_of_the_refusal_is_the_mark_even_if_the_liveness_record_is_young() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(3).authority("s1").request("q1"));
    stage.silence(secs(60));
    stage.resume();
    // Not takeable yet: the holder may still be heard of.
    let stranger = ask("w1").epoch(3).authority("s1").request("q2");
    assert!(matches!(stage.refused(&stranger), Refusal::AlreadyClaimed { .. }));
    stage.world.liveness =
        stage.world.liveness.map(|liveness| Liveness { outage_grace: secs(0), ..liveness });
    assert_eq!(stage.refused(&stranger), Refusal::EpochFenced { highest: epoch(3) });
    assert_eq!(stage.world.mark(&key("/chat/a"), &super::support::authority("s1")), Some(epoch(3)));
}
