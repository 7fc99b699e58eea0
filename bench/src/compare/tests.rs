use super::alone::Call;
use super::call;
use super::cost::claims::Claims;
use super::crowd::{Crowd, check_ended};
use crate::fleet::holders;
use crate::fleet::testing::Ground;
use std::sync::Arc;
use std::time::Duration;

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
