//! What the history of others teaches, and which planted bugs stand for it.
//!
//! Fifteen lessons were drawn from the bugs of other job queues, lock services and lease managers before
//! this service was designed. Each that is about what is decided has planted bugs, here with the rule
//! that each is seen to break; a test holds this list to the mutants. Of the others it is said why not,
//! and which tests are about them.
//!
//! 1. Finish and expire are one decision on one locked row: `expire_ends_what_a_done_has_ended`
//!    (I4), `done_ends_what_has_expired` (I4), `expire_believes_its_list` (R1),
//!    `a_mint_overlooks_the_holder` (I1).
//! 2. The row is the authority, not the memory of a process:
//!    `done_is_ignored_when_a_newer_claim_displaced_the_token` (D6),
//!    `a_done_without_the_token_that_a_restart_lost_is_refused` (D6),
//!    `a_crash_between_claim_and_entity_leaves_it_running` (I2),
//!    `done_of_a_superseded_claim_clears_the_newer` (I8), `done_of_a_lapsed_claim_is_refused`
//!    (D6).
//! 3. A heartbeat extends, never shortens, never revives, and is its holder's:
//!    `a_heartbeat_does_not_extend` (H2), `a_heartbeat_nulls_the_lease` (I7),
//!    `a_heartbeat_that_asks_for_little_shortens_the_lease` (I7),
//!    `a_heartbeat_revives_an_ended_claim` (I4), `a_heartbeat_revives_a_superseded_claim` (I4),
//!    `a_heartbeat_with_a_strangers_token_extends` (H7),
//!    `a_heartbeat_of_a_lapsed_claim_is_refused` (H3), `a_heartbeat_is_not_heard` (H2).
//! 4. Fence with a counter that nothing can reset: `an_upsert_lowers_the_epoch` (I6),
//!    `a_restored_database_counts_fences_from_one` (I6), `a_restored_database_issues_epochs_again`
//!    (M3), `revoke_resets_the_fence` (I6), `a_mint_after_an_end_uses_the_fence_again` (I6),
//!    `a_mint_does_not_raise_the_mark` (I6), `epochs_are_compared_between_authorities` (M4).
//! 5. Renewing never changes the fence, and a retry is the same claim:
//!    `a_heartbeat_changes_the_fence` (H6), `a_heartbeat_changes_the_token` (H6),
//!    `a_retried_mint_is_refused` (M2), `a_retried_mint_keeps_the_lost_token` (M2),
//!    `a_retry_activates_an_ended_claim` (I4). The client's part:
//!    `claim-client/tests/scripted/calls.rs`.
//! 6. The clock of the database decides, at the moment of the decision:
//!    `a_write_is_allowed_by_a_clock_that_is_behind` (I5),
//!    `a_lease_runs_from_the_start_of_the_transaction` (H2),
//!    `a_mint_takes_over_by_a_clock_that_is_ahead` (M4). That a holder counts from when it sent:
//!    `claim-client/tests/scripted/time.rs`.
//! 7. Assume that you are the broken one before you expire everybody:
//!    `the_reaper_expires_during_an_outage` (R1), `a_mint_takes_over_during_an_outage` (M4),
//!    `who_was_not_heard_since_the_outage_is_not_protected` (R1), `the_reap_grace_is_forgotten`
//!    (R1). The brake: `worker/tests/reaper/brake.rs`.
//! 8. One bad row must not stop the sweep, and paging must not hide rows. Nothing planted: a
//!    decision sees one claim; the sweep does not. `worker/tests/reaper/bad_rows.rs`,
//!    `tests/store/reap.rs`.
//! 9. Maintenance loops die silently. Nothing planted: the loop is not a decision.
//!    `worker/tests/reaper/daemon.rs`, `budget.rs`, `probes.rs`.
//! 10. Do not delete or reuse what a rescue needs to see: `retention_takes_the_highest_epochs`
//!     (M3), `retention_takes_the_fence_of_an_idle_entity` (I6),
//!     `retention_takes_a_lapsed_claim_that_nobody_ended` (I2),
//!     `another_caller_of_the_same_identity_gets_the_claim` (M4),
//!     `a_newcomer_gets_the_epoch_that_it_had_before` (M4).
//! 11. A lease that is not stamped, or that the reaper cannot see, is a leak:
//!     `the_reaper_matches_no_row` (R5), `the_reaper_matches_no_row_and_claims_stay` (liveness),
//!     `superseded_claims_are_not_swept_and_stay` (liveness), `a_mint_stamps_no_lease` (M6),
//!     `a_mint_stamps_no_lease_and_the_claim_stays` (liveness). That no lease can be null:
//!     `tests/store/schema.rs`.
//! 12. The holder learns of its loss, quickly, once and distinguishably:
//!     `a_superseded_holder_is_told_that_its_claim_never_was` (H1),
//!     `a_heartbeat_after_done_is_told_of_a_newer_claim` (H1), `a_lapse_is_not_told` (H3),
//!     `a_holder_is_not_told_to_stop` (H5), `a_done_after_expiry_is_an_error` (D5),
//!     `a_done_after_expiry_is_told_that_it_won` (D5). The client's part:
//!     `claim-client/tests/scripted/cancellation.rs`.
//! 13. A hung process that goes on heartbeating has an end: `a_heartbeat_goes_beyond_the_ceiling`
//!     (H2), `a_re_mint_moves_the_ceiling` (H6), `a_re_mint_is_accepted_at_the_ceiling` (M2). That
//!     heartbeats do not starve: `claim-client/tests/scripted/thread.rs`.
//! 14. The renew write is the cost of it all. Nothing planted: what a decision costs is not what it
//!     is. `tests/store_plans`.
//! 15. Expiry does all that done does, and differs in its reason only:
//!     `expiry_leaves_the_entity_running` (I2), `expiry_has_no_event` (I11),
//!     `a_mint_that_takes_over_tells_nobody_that_it_expired_one` (I11),
//!     `expiry_wakes_a_paused_entity` (I9), `expiry_counts_as_completed` (D8),
//!     `kill_spares_superseded_claims` (I3), `a_reaper_that_leaves_a_claim_alone_writes_to_it`
//!     (I10).
//!
//! Beside them, who may take over and what a stranger is told: `a_newer_epoch_has_to_wait` (M4),
//! `anybody_displaces_a_live_holder` (M4), `only_the_reaper_frees_an_entity` (M5),
//! `a_token_of_a_lapsed_lease_still_writes` (I5), `any_token_of_the_entity_writes` (I5),
//! `the_token_writes_to_other_streams_of_the_entity` (I5),
//! `a_wrong_token_learns_that_the_lease_has_lapsed` (W3),
//! `done_with_a_strangers_token_ends_the_claim` (D2).

/// The number of one of these; 0 is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lesson(pub(crate) u8);

pub(crate) const ONE_DECISION: Lesson = Lesson(1);
pub(crate) const THE_ROW: Lesson = Lesson(2);
pub(crate) const EXTENDS: Lesson = Lesson(3);
pub(crate) const FENCE: Lesson = Lesson(4);
pub(crate) const RETRY: Lesson = Lesson(5);
pub(crate) const CLOCK: Lesson = Lesson(6);
pub(crate) const OUTAGE: Lesson = Lesson(7);
pub(crate) const IDENTITY: Lesson = Lesson(10);
pub(crate) const STAMPED: Lesson = Lesson(11);
pub(crate) const LEARNS: Lesson = Lesson(12);
pub(crate) const CEILING: Lesson = Lesson(13);
pub(crate) const ALL_OF_IT: Lesson = Lesson(15);
pub(crate) const OWN: Lesson = Lesson(0);

#[test]
fn every_lesson_about_the_rules_and_every_invariant_has_a_planted_bug() {
    let planted: Vec<_> = [
        super::ends::mutants(),
        super::leases::mutants(),
        super::numbers::mutants(),
        super::answers::mutants(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let list = include_str!("lessons.rs").replace("//!", "");
    let list: Vec<_> = list.split_whitespace().collect();
    let list = list.join(" ");
    for mutant in &planted {
        let entry = format!("`{}` ({})", mutant.name, mutant.breaks);
        assert!(list.contains(&entry), "{entry} is not in the list");
    }
    let of_rules = (1..=15).filter(|number| ![8, 9, 14].contains(number));
    for number in of_rules {
        let one = planted.iter().any(|mutant| mutant.lesson == Lesson(number));
        assert!(one, "lesson {number} has no planted bug");
    }
    for number in 1..=11 {
        let invariant = format!("I{number}");
        let one = planted.iter().any(|mutant| mutant.breaks == invariant);
        assert!(one, "no planted bug breaks {invariant}");
    }
}
