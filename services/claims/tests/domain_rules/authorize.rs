//! W1 … W4. That nothing is written (W2) is in the signature: authorize takes the rows by
//! reference and returns none. How long an answer may be kept (W4) is the server's to say.

use super::support::{ENTITY, MICRO, STREAM, Stage, ask, key, secs, url};
use claims::domain::authorize::{Writer, authorize};
use claims::domain::{ClaimState, EntitySignal, EntityState, Refusal, TokenDigest};

const REFUSED: Result<claims::domain::Authorization, Refusal> = Err(Refusal::WriteTokenInvalid);

// W1

#[test]
fn the_holder_writes_to_its_stream() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(12));
    let write = stage.write_by(&claim).expect("allowed");
    assert_eq!(write.id, claim.id);
    assert_eq!(write.entity, url(ENTITY));
    assert_eq!(write.fence, claim.fence);
    assert_eq!(write.lease_remaining, secs(18));
}

#[test]
fn time_decides_strictly() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30) - MICRO);
    let write = stage.write_by(&claim).expect("allowed");
    assert_eq!(write.lease_remaining, MICRO);
    stage.wait(MICRO);
    assert_eq!(stage.write_by(&claim), Err(Refusal::LeaseLapsed));
}

#[test]
fn an_outage_does_not_prolong_the_right_to_write() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(10));
    assert_eq!(stage.write_by(&claim), Err(Refusal::LeaseLapsed));
    stage.resume();
    assert_eq!(stage.write_by(&claim), Err(Refusal::LeaseLapsed));
    // Nor does it shorten it.
    stage.beat(&claim).expect("renewed");
    stage.silence(secs(9));
    stage.write_by(&claim).expect("allowed");
}

#[test]
fn a_paused_or_stopping_entitys_holder_still_writes() {
    for signal in [EntitySignal::Stop, EntitySignal::Term] {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask("w1"));
        stage.signal(signal).expect("a signal");
        stage.write_by(&claim).expect("to reach its checkpoint");
    }
}

#[test]
fn a_killed_entitys_holder_does_not_write() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(EntitySignal::Kill).expect("killed");
    assert_eq!(stage.write_by(&claim), REFUSED);
}

#[test]
fn a_stopped_or_killed_entity_takes_no_write_even_if_a_claim_were_left() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    for state in [EntityState::Stopped, EntityState::Killed] {
        let mut entity = stage.entity();
        entity.state = state;
        let writer = Writer::of(&entity, Some(&claim));
        let outcome = authorize(writer.as_ref(), &claim.stream, &claim.token_digest, stage.now);
        assert_eq!(outcome, REFUSED);
    }
}

#[test]
fn a_claim_that_is_not_the_entitys_current_one_is_not_taken_for_it() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let mut entity = stage.entity();
    entity.current = None;
    let token = &claim.token_digest;
    let writer = Writer::of(&entity, Some(&claim));
    let outcome = authorize(writer.as_ref(), &claim.stream, token, stage.now);
    assert_eq!(outcome, REFUSED);
}

#[test]
fn a_claim_that_is_not_active_does_not_write_even_if_it_were_current() {
    let (stage, claim) = Stage::with_claim(ClaimState::Superseded, &ask("w1"));
    let mut entity = stage.entity();
    entity.current = Some((claim.id.consumer.clone(), claim.id.epoch));
    let token = &claim.token_digest;
    let writer = Writer::of(&entity, Some(&claim));
    let outcome = authorize(writer.as_ref(), &claim.stream, token, stage.now);
    assert_eq!(outcome, REFUSED);
}

// W3

#[test]
fn unknown_stream_wrong_token_superseded_and_ended_are_told_alike() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let token = claim.token_digest;
    let wrong = TokenDigest::from_bytes([9; 32]);
    assert_eq!(stage.write(STREAM, &wrong), REFUSED, "a wrong token");
    assert_eq!(stage.write("/chat/a/log", &token), REFUSED, "another stream");
    assert_eq!(stage.write("/chat/b/main", &token), REFUSED, "no entity");
    assert_eq!(stage.write("/chat/main", &token), REFUSED, "no entity");
    stage.minted(&ask("w2").of("/chat/b"));
    assert_eq!(stage.write("/chat/b/main", &token), REFUSED, "another's");
    for state in ClaimState::ALL {
        if state != ClaimState::Active {
            let (stage, claim) = Stage::with_claim(state, &ask("w1"));
            assert_eq!(stage.write_by(&claim), REFUSED, "{state:?}");
        }
    }
}

#[test]
fn a_lapsed_lease_is_told_apart_only_to_the_right_token_on_the_right_stream() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(30));
    let wrong = TokenDigest::from_bytes([9; 32]);
    assert_eq!(stage.write_by(&claim), Err(Refusal::LeaseLapsed));
    assert_eq!(stage.write(STREAM, &wrong), REFUSED);
    assert_eq!(stage.write("/chat/a/log", &claim.token_digest), REFUSED);
    stage.minted(&ask("w2"));
    assert_eq!(stage.write_by(&claim), REFUSED, "once it is taken");
}

#[test]
fn a_superseded_lapsed_claim_is_not_told_apart() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1").ttl(secs(10)));
    stage.minted(&ask("w2").epoch(2).authority("s1").ttl(secs(60)));
    stage.wait(secs(20));
    assert_eq!(stage.write_by(&old), REFUSED);
}

#[test]
fn the_token_of_another_tenants_like_claim_does_not_write() {
    let mut stage = Stage::new();
    let ours = stage.minted(&ask("w1"));
    let theirs = stage.minted(&ask("w1").of_tenant("other"));
    stage.write(STREAM, &ours.token_digest).expect("ours");
    assert_eq!(stage.write(STREAM, &theirs.token_digest), REFUSED);
    assert_eq!(stage.world.entity(&key(ENTITY)).fence, ours.fence);
}
