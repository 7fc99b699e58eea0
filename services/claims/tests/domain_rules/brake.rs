//! R7: the brake against mass expiry.

use super::support::{START, secs};
use claims::domain::{Brake, HoldReason};

fn brake() -> Brake {
    Brake::default()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    assert_eq!(brake(), Brake { share: 0.5, min: 20, span: secs(60) });
}

#[test]
fn half_of_the_claims_is_not_more_than_half() {
    assert!(!brake().engages(20, 40));
    assert!(brake().engages(21, 41));
    assert!(brake().engages(500_001, 1_000_000));
    assert!(!brake().engages(500_000, 1_000_000));
}

#[test]
fn fewer_than_the_minimum_never_engage_it() {
    assert!(!brake().engages(19, 19));
    assert!(brake().engages(20, 20));
    assert!(!brake().engages(0, 0));
}

#[test]
fn a_share_of_one_turns_it_off() {
    let off = Brake { share: 1.0, ..brake() };
    assert!(!off.engages(1_000_000, 1_000_000));
}

#[test]
fn a_share_of_zero_needs_the_minimum_alone() {
    let tight = Brake { share: 0.0, ..brake() };
    assert!(tight.engages(20, 1_000_000));
    assert!(!tight.engages(19, 1_000_000));
}

#[test]
fn a_claim_is_fresh_until_it_has_been_due_for_the_span() {
    let now = START + secs(1_000);
    assert!(brake().is_fresh(now, now));
    assert!(brake().is_fresh(START + secs(941), now));
    assert!(!brake().is_fresh(START + secs(940), now));
}

#[test]
fn a_hold_reason_is_stored_by_its_documented_name() {
    for (reason, name) in [(HoldReason::OutageGrace, "outage_grace"), (HoldReason::Brake, "brake")]
    {
        assert_eq!(reason.as_str(), name);
        assert_eq!(HoldReason::parse(name), Some(reason));
    }
    assert_eq!(HoldReason::parse("mercy"), None);
}
