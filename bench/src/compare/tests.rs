use super::alone::Call;
use super::call;
use super::contended;
use super::cost::claims::Claims;
use super::crowd::{Crowd, check_ended};
use super::growth::lives;
use crate::fleet::holders;
use crate::fleet::testing::Ground;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn crowd(ground: &Ground) -> Crowd<'_> {
    Crowd { address: &ground.address, callers: 4, length: Duration::from_millis(200) }
}

#[test]
fn lives_end_in_good_order_and_another_count_is_an_error() {
    let ground = Ground::new();
    for (names, heartbeat) in [("c0_", false), ("b0_", true)] {
        let lives = crowd(&ground).lives(names, heartbeat);
        let (_, count) = ground.runtime.block_on(lives).unwrap();
        assert!(count > 0);
        check_ended(&ground.sql, names, count).unwrap();
        assert!(check_ended(&ground.sql, names, count + 1).is_err());
    }
    ground.runtime.block_on(ground.db.check_invariants());
}

#[test]
fn holders_may_write_and_nobody_else() {
    let ground = Ground::new();
    let tokens = ground.runtime.block_on(holders::mint(&ground.address, 8)).unwrap();
    let others = Arc::new(tokens.iter().rev().cloned().collect());
    let tokens = Arc::new(tokens);
    let asked = crowd(&ground).authorizations(&tokens);
    assert!(ground.runtime.block_on(asked).unwrap().1 > 0);
    assert!(ground.runtime.block_on(crowd(&ground).authorizations(&others)).is_err());
}

#[test]
fn every_step_of_many_claims_is_verified() {
    let ground = Ground::new();
    let steps = async {
        let mut claims = Claims::new(&ground.address, "k3_", 3, 10).await?;
        for call in [Call::Mint, Call::Heartbeat, Call::Authorize, Call::Done] {
            assert_eq!(claims.step(call).await?, 10);
        }
        anyhow::ensure!(claims.step(Call::Authorize).await.is_err(), "an ended claim may write");
        Ok(())
    };
    ground.runtime.block_on(steps).unwrap();
    check_ended(&ground.sql, "k3_", 10).unwrap();
}

#[test]
fn a_refusal_without_a_time_does_not_say_when() {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let code = tonic::Code::ResourceExhausted;
    let told = ErrorDetails::with_retry_info(Some(Duration::from_millis(5)));
    assert!(call::says_when(&tonic::Status::with_error_details(code, "full", told)));
    assert!(!call::says_when(&tonic::Status::new(code, "full")));
}

#[test]
fn mints_that_many_want_are_accepted_or_fenced_and_the_last_one_holds() {
    let ground = Ground::new();
    for entities in [1, 3] {
        let answers =
            contended::together(crowd(&ground), &ground.runtime, &ground.sql, 0, entities).unwrap();
        assert!(answers.accepted >= u64::from(entities));
    }
    ground.runtime.block_on(ground.db.check_invariants());
}

#[test]
fn what_was_measured_can_be_taken_away_without_a_trace() {
    let ground = Ground::new();
    let since: SystemTime = ground.sql.value("SELECT clock_timestamp()").unwrap();
    let lives = lives::measure(&ground.address, 4, Duration::from_millis(200), 1);
    let (_, count) = ground.runtime.block_on(lives).unwrap();
    assert!(count > 0);
    lives::check_ended(&ground.sql, since, count).unwrap();
    assert!(lives::check_ended(&ground.sql, since, count + 1).is_err());
    ground.sql.batch("SET session_replication_role = replica").unwrap();
    let forget = include_str!("../../sql/compare/forget_ended.sql");
    ground.sql.execute(forget, &[&since]).unwrap();
    for table in ["consumer_claims", "entity_dispatch_state", "entity_epochs", "claim_events"] {
        let left: i64 = ground.sql.value(&format!("SELECT count(*) FROM {table}")).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
