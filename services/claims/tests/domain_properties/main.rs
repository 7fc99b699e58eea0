//! The domain under random operations: many short plays on a small world, with the invariants
//! checked after every call and an independent account of what the answers promised.
//!
//! `operations` makes the plays, `play` carries them out, `history` keeps the account.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on has failed, and every name here is a constant"
)]

mod history;
mod operations;
mod play;

use operations::{Opening, Operation};
use play::Play;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

/// Plays of a run, some seconds of a debug build; `PROPTEST_CASES` asks for another number.
const PLAYS: u32 = 600;
/// Plays that together meet every outcome.
const PLAYS_TO_MEET_ALL: u32 = 300;
/// Operations of a play.
const OPERATIONS: usize = 60;

fn config() -> ProptestConfig {
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => PLAYS,
    };
    ProptestConfig {
        cases,
        // A play that failed is written down as a test of the rule that it broke.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn plays() -> impl Strategy<Value = (Opening, Vec<Operation>)> {
    let operations = proptest::collection::vec(operations::operation(), OPERATIONS);
    (operations::opening(), operations)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_play_breaks_an_invariant_or_leaves_a_claim_for_ever((opening, operations) in plays()) {
        let mut play = Play::begin(&opening);
        for operation in &operations {
            play.perform(operation)?;
        }
        play.finish()?;
    }
}

/// A play that meets nothing proves nothing.
#[test]
fn the_plays_meet_every_event_and_every_refusal() -> Result<(), TestCaseError> {
    let mut runner = TestRunner::deterministic();
    let plays = plays();
    let mut met = BTreeSet::new();
    for _ in 0..PLAYS_TO_MEET_ALL {
        let (opening, operations) = plays
            .new_tree(&mut runner)
            .map_err(|reason| TestCaseError::fail(reason.to_string()))?
            .current();
        let mut play = Play::begin(&opening);
        for operation in &operations {
            play.perform(operation)?;
        }
        met.append(&mut play.met);
    }
    let expected = [
        "event minted",
        "event reminted",
        "event superseded",
        "event released",
        "event failed",
        "event expired",
        "event revoked",
        "event signaled",
        "mint refused: AlreadyClaimed",
        "mint refused: CeilingReached",
        "mint refused: ClaimEnded",
        "mint refused: ClaimSuperseded",
        "mint refused: EntityNotClaimable",
        "mint refused: EpochFenced",
        "mint refused: IdentityInUse",
        "heartbeat refused: CeilingReached",
        "heartbeat refused: ClaimEnded",
        "heartbeat refused: ClaimNotFound",
        "heartbeat refused: ClaimSuperseded",
        "heartbeat refused: WriteTokenInvalid",
        "heartbeat renewed a lapsed lease",
        "heartbeat cut a lease far ahead",
        "done refused: ClaimNotFound",
        "done refused: WriteTokenInvalid",
        "done already ended",
        "done of a superseded claim",
        "expire not due",
        "expire already ended",
        "lapsed but protected by an outage",
        "mint took a takeable claim",
        "signal refused: EntityTerminal",
        "signal refused: SignalNotApplicable",
        "signal held already",
        "write allowed",
        "write refused: LeaseLapsed",
        "write refused: WriteTokenInvalid",
    ];
    for outcome in expected {
        prop_assert!(met.contains(outcome), "no play met {outcome:?}");
    }
    Ok(())
}
