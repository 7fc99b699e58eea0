//! R6 and the words *resumed* and *takeable*.

use super::support::{MICRO, OUTAGE_GRACE, REAP_GRACE, START, Stage, ask, secs};
use claims::domain::lease::Lease;
use claims::domain::liveness::{LivenessRecord, is_outage, outage_grace, resumed};
use claims::domain::{Expiry, LeaseTtl, Liveness, Refusal, Timestamp};
use std::time::Duration;

const RESUMED: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

fn signed_at(last_signed_at: Timestamp) -> LivenessRecord {
    Some(Liveness { last_signed_at, resumed_at: RESUMED, outage_grace: OUTAGE_GRACE })
}

/// A lease of 10 s last heard of at that moment.
fn heard_at(heard_at: Timestamp) -> Lease {
    let ttl = LeaseTtl::parse(secs(10)).expect("a length of lease");
    Lease::first(heard_at, ttl, None)
}

// Resumed

#[test]
fn without_a_record_resumed_is_now() {
    assert_eq!(resumed(&None, START), START);
    assert!(is_outage(&None, START));
}

#[test]
fn a_signature_more_than_5_s_old_shows_an_outage() {
    let fresh = signed_at(START - secs(5));
    assert_eq!(resumed(&fresh, START), RESUMED, "exactly 5 s is not more");
    assert!(!is_outage(&fresh, START));
    let stale = signed_at(START - secs(5) - MICRO);
    assert_eq!(resumed(&stale, START), START);
    assert!(is_outage(&stale, START));
}

#[test]
fn a_signature_more_than_5_s_ahead_shows_an_outage() {
    let fresh = signed_at(START + secs(5));
    assert_eq!(resumed(&fresh, START), RESUMED, "exactly 5 s is not more");
    assert!(!is_outage(&fresh, START));
    let stale = signed_at(START + secs(5) + MICRO);
    assert_eq!(resumed(&stale, START), START);
    assert!(is_outage(&stale, START));
}

#[test]
fn a_missing_record_counts_as_a_grace_of_30_s() {
    assert_eq!(outage_grace(&None), secs(30));
    let other = signed_at(START).map(|liveness| Liveness { outage_grace: secs(7), ..liveness });
    assert_eq!(outage_grace(&other), secs(7));
}

// Takeable

#[test]
fn a_lapsed_claim_is_takeable_while_servers_sign() {
    let record = signed_at(START);
    let lease = heard_at(START - secs(10));
    assert!(lease.heard_at > RESUMED);
    assert_eq!(lease.takeable_at(&record, START), START);
    assert!(lease.is_takeable(&record, START));
    assert!(!lease.is_takeable(&record, START - MICRO));
}

#[test]
fn a_claim_heard_of_before_resumed_is_protected_for_the_outage_grace() {
    let end = RESUMED + OUTAGE_GRACE;
    let before = heard_at(RESUMED - MICRO);
    assert_eq!(before.takeable_at(&signed_at(end), end), end);
    assert!(before.is_takeable(&signed_at(end), end));
    assert!(!before.is_takeable(&signed_at(end - MICRO), end - MICRO));
}

#[test]
fn a_claim_heard_of_at_or_after_resumed_is_not_protected() {
    for heard in [RESUMED, RESUMED + MICRO] {
        let lease = heard_at(heard);
        let end = heard + secs(10);
        assert_eq!(lease.takeable_at(&signed_at(end), end), end);
        assert!(lease.is_takeable(&signed_at(end), end));
    }
}

#[test]
fn a_lease_beyond_the_outage_grace_is_not_shortened_by_it() {
    let ttl = LeaseTtl::parse(secs(600)).expect("a length of lease");
    let lease = Lease::first(RESUMED - secs(1), ttl, None);
    let now = RESUMED + OUTAGE_GRACE;
    assert_eq!(lease.takeable_at(&signed_at(now), now), RESUMED + secs(599));
}

#[test]
fn while_an_outage_lasts_nothing_becomes_takeable() {
    let lease = heard_at(START);
    for record in [None, signed_at(START)] {
        for silence in [secs(6), secs(60), secs(86_400)] {
            let now = START + silence;
            assert!(!lease.is_takeable(&record, now));
            let takeable_in = lease.takeable_at(&record, now).since(now);
            assert!(takeable_in >= OUTAGE_GRACE.min(secs(30)));
        }
    }
}

#[test]
fn with_an_outage_grace_of_zero_takeable_is_lapsed() {
    let lease = heard_at(START);
    let end = START + secs(10);
    for last_signed_at in [START - secs(3_600), START, START + secs(3_600)] {
        let record = Some(Liveness {
            last_signed_at,
            resumed_at: START + secs(5),
            outage_grace: Duration::ZERO,
        });
        assert!(!lease.is_takeable(&record, end - MICRO));
        assert!(lease.is_takeable(&record, end));
        assert_eq!(lease.takeable_at(&record, end), end);
        // Since when it is takeable does not move along with an outage either.
        assert_eq!(lease.takeable_at(&record, end + secs(7_200)), end);
    }
}

#[test]
fn a_record_of_the_future_after_a_step_back_of_the_clock_protects() {
    // The clock stepped back by an hour; nobody has signed since.
    let record = signed_at(START + secs(3_600));
    let lease = heard_at(START - secs(60));
    assert!(!lease.is_takeable(&record, START));
}

// In play

#[test]
fn a_holder_has_the_outage_grace_to_be_heard() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(120));
    stage.resume();
    stage.wait(OUTAGE_GRACE - MICRO);
    assert!(matches!(
        stage.refused(&ask("w2")),
        Refusal::AlreadyClaimed { takeable_in: MICRO, .. }
    ));
    let renewal = stage.beat(&claim).expect("renewed");
    assert!(renewal.had_lapsed);
    stage.wait(secs(10) - MICRO);
    stage.refused(&ask("w2"));
    stage.wait(MICRO);
    stage.minted(&ask("w2"));
}

#[test]
fn a_holder_that_stays_silent_after_an_outage_is_taken_over() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(120));
    stage.resume();
    stage.wait(OUTAGE_GRACE);
    stage.minted(&ask("w2"));
}

#[test]
fn a_second_outage_protects_anew() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(60));
    stage.resume();
    stage.wait(OUTAGE_GRACE - MICRO);
    stage.silence(secs(6));
    stage.resume();
    stage.wait(OUTAGE_GRACE - MICRO);
    stage.refused(&ask("w2"));
    stage.wait(MICRO);
    stage.minted(&ask("w2"));
}

#[test]
fn a_claim_minted_in_the_middle_of_an_outage_is_taken_by_its_lease_alone() {
    // The record is stale, so resumed is now; being minted at that very now is not before it.
    let mut stage = Stage::new();
    stage.silence(secs(60));
    let claim = stage.minted(&ask("w1").ttl(secs(10)));
    let lease = claim.lease;
    assert_eq!(lease.takeable_at(&stage.world.liveness, stage.now), lease.expires_at);
}

#[test]
fn without_outage_grace_mint_and_reaper_go_by_the_lease() {
    let mut stage = Stage::new();
    stage.set_outage_grace(secs(0));
    stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(10));
    stage.minted(&ask("w2"));
}

#[test]
fn without_outage_grace_the_reaper_works_through_an_outage() {
    let mut stage = Stage::new();
    stage.set_outage_grace(secs(0));
    let claim = stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(10) + REAP_GRACE);
    assert_eq!(stage.expire(&claim), Expiry::Expired { due_at: stage.now, expired_at: stage.now });
}
