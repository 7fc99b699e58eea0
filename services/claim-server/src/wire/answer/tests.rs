use super::*;
use claims::domain::{
    ClaimId, EndReason, Ending, EntityUrl, Epoch, Fence, Lease, LeaseTtl, NumberFloor, StreamPath,
    TenantId, Text,
};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_unix_micros(1_764_580_705_000_000);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn told(count: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: count, nanos: 0 })
}

fn consumer(name: &str) -> claims::domain::ConsumerId {
    claims::domain::ConsumerId::parse(name).unwrap()
}

/// A claim minted at `NOW` with 30 s.
fn active() -> Claim {
    let entity = EntityUrl::parse("/chat/a").unwrap();
    Claim {
        id: ClaimId {
            tenant: TenantId::parse("acme").unwrap(),
            consumer: consumer("w_1"),
            epoch: Epoch::parse(7).unwrap(),
        },
        stream: StreamPath::of_entity(&entity, "").unwrap(),
        entity,
        authority: claims::domain::Authority::parse("sub").unwrap(),
        wake_id: claims::domain::WakeId::parse("wake").unwrap(),
        runner_id: claims::domain::RunnerId::parse("runner").unwrap(),
        request_id: claims::domain::RequestId::parse("request").unwrap(),
        claimed_at: NOW,
        fence: Fence::parse(9).unwrap(),
        token_digest: WriteToken::presented("secret".to_owned()).digest(),
        state: ClaimState::Active,
        superseded_by: None,
        lease: Lease::first(NOW, LeaseTtl::parse(seconds(30)).unwrap(), Some(seconds(60))),
        progress: Some("half".to_owned()),
        ending: None,
    }
}

fn ended_as(state: ClaimState, reason: EndReason) -> Claim {
    let acks = vec![AckedStream::parse("/in/main".to_owned(), "7".to_owned()).unwrap()];
    Claim {
        state,
        ending: Some(Ending {
            at: NOW + seconds(5),
            reason,
            entity_cleared: true,
            acked_streams: Some(acks),
            error_message: "broke".to_owned(),
        }),
        ..active()
    }
}

#[test]
fn an_active_claim_is_told_field_by_field() {
    let told_claim = claim(&active(), NOW + seconds(10));
    let expected = v1::Claim {
        tenant_id: "acme".into(),
        consumer_id: "w_1".into(),
        epoch: 7,
        entity_url: "/chat/a".into(),
        stream_path: "/chat/a/main".into(),
        authority: "sub".into(),
        wake_id: "wake".into(),
        runner_id: "runner".into(),
        fence: 9,
        state: v1::ClaimState::Active.into(),
        lease_ttl: told(30),
        claim_time: Some(told_time(NOW)),
        last_heartbeat_time: None,
        lease_expire_time: Some(told_time(NOW + seconds(30))),
        lease_remaining: told(20),
        lapsed: false,
        ceiling_time: Some(told_time(NOW + seconds(60))),
        end_time: None,
        end_reason: String::new(),
        acked_streams: vec![],
        error_message: String::new(),
        progress: "half".into(),
        superseded_by_consumer_id: String::new(),
        superseded_by_epoch: 0,
    };
    assert_eq!(told_claim, expected);
}

#[test]
fn a_live_claim_lapses_at_the_moment_its_lease_ends() {
    let just_before = claim(&active(), NOW + Duration::from_micros(29_999_999));
    assert!(!just_before.lapsed);
    for later in [30, 3000] {
        let lapsed = claim(&active(), NOW + seconds(later));
        assert!(lapsed.lapsed);
        assert_eq!(lapsed.lease_remaining, told(0));
    }
}

#[test]
fn an_ended_claim_has_no_lease_left_and_has_not_lapsed_either() {
    let ended = ended_as(ClaimState::Failed, EndReason::Failed);
    for now in [NOW, NOW + seconds(3000)] {
        let told_claim = claim(&ended, now);
        assert!(!told_claim.lapsed);
        assert_eq!(told_claim.lease_remaining, told(0));
        assert_eq!(told_claim.lease_expire_time, Some(told_time(NOW + seconds(30))));
        assert_eq!(told_claim.end_time, Some(told_time(NOW + seconds(5))));
        assert_eq!(told_claim.end_reason, "failed");
        assert_eq!(told_claim.error_message, "broke");
        assert_eq!(told_claim.acked_streams[0].path, "/in/main");
        assert_eq!(told_claim.acked_streams[0].offset, "7");
    }
}

#[test]
fn every_state_keeps_its_name_on_the_wire() {
    for state in ClaimState::ALL {
        let name = format!("CLAIM_STATE_{}", state.as_str().to_uppercase());
        assert_eq!(claim_state(state).as_str_name(), name);
    }
    for state in EntityState::ALL {
        let name = format!("ENTITY_STATE_{}", state.as_str().to_uppercase());
        assert_eq!(entity_state(state).as_str_name(), name);
    }
}

#[test]
fn a_mint_is_answered_with_the_token_and_what_it_took_over() {
    let predecessor = Claim {
        state: ClaimState::Superseded,
        superseded_by: Some((consumer("w_1"), Epoch::parse(7).unwrap())),
        ..active()
    };
    let token = WriteToken::presented("secret".to_owned());
    let answer = minted(
        &Minted { claim: active(), reminted: true, ended_predecessor: Some(predecessor) },
        &token,
    );
    assert_eq!(answer.write_token, "secret");
    assert!(answer.reminted);
    assert_eq!(answer.claim.unwrap().lease_remaining, told(30));
    let predecessor = answer.ended_predecessor.unwrap();
    assert_eq!(predecessor.state(), v1::ClaimState::Superseded);
    assert_eq!(predecessor.superseded_by_consumer_id, "w_1");
    assert_eq!(predecessor.superseded_by_epoch, 7);
    assert_eq!(predecessor.lease_remaining, told(30), "a superseded claim still has its lease");
}

#[test]
fn the_suggested_interval_is_a_third_of_the_lease_give_or_take_a_tenth() {
    let ttl = LeaseTtl::parse(seconds(30)).unwrap();
    for _ in 0..100 {
        let interval = heartbeat_interval(ttl.get());
        let interval = Duration::try_from(interval).unwrap();
        assert!((seconds(9)..=seconds(11)).contains(&interval), "{interval:?}");
    }
}

#[test]
fn a_heartbeat_is_answered_with_what_is_left() {
    let renewal = Renewal {
        expires_at: NOW + seconds(30),
        remaining: seconds(30),
        ttl: LeaseTtl::parse(seconds(30)).unwrap(),
        directive: Directive::Stop,
        had_lapsed: true,
        ceiling_remaining: None,
    };
    let answer = renewed(&renewal);
    assert_eq!(answer.lease_expire_time, Some(told_time(NOW + seconds(30))));
    assert_eq!(answer.lease_remaining, told(30));
    assert_eq!(answer.directive(), v1::HeartbeatDirective::Stop);
    assert!(answer.had_lapsed);
    assert_eq!(answer.ceiling_remaining, None);
    let limited = Renewal { ceiling_remaining: Some(seconds(0)), ..renewal };
    assert_eq!(renewed(&limited).ceiling_remaining, told(0));
}

#[test]
fn a_done_is_answered_from_the_stored_ending() {
    let answer = ended(&Ended {
        claim: ended_as(ClaimState::Released, EndReason::Done),
        already_ended: true,
        acks_recorded: false,
        entity_state: EntityState::Running,
    });
    assert!(answer.entity_cleared && answer.already_ended && !answer.acks_recorded);
    assert_eq!(answer.entity_state(), v1::EntityState::Running);
    assert_eq!(answer.claim.unwrap().end_reason, "done");
}

#[test]
fn an_entity_that_was_never_claimed_has_no_times() {
    let key = EntityKey {
        tenant: TenantId::parse("acme").unwrap(),
        url: EntityUrl::parse("/chat/a").unwrap(),
    };
    let entity = Entity::unseen(NumberFloor::default());
    let entity = entity_read(&key, &EntityView { entity, current: None, now: NOW }).entity.unwrap();
    let expected = v1::Entity {
        tenant_id: "acme".into(),
        entity_url: "/chat/a".into(),
        state: v1::EntityState::Idle.into(),
        ..Default::default()
    };
    assert_eq!(entity, expected);
}

fn query() -> ClaimQuery {
    ClaimQuery {
        tenant: TenantId::parse("acme").unwrap(),
        entity: None,
        runner: None,
        states: vec![],
        lapsed_only: false,
        page_size: 1000,
        after: None,
    }
}

#[test]
fn the_last_page_has_no_token() {
    let page = ClaimPage { claims: vec![active()], next: None, now: NOW };
    let answer = claims_listed(&query(), &page);
    assert_eq!((answer.claims.len(), answer.next_page_token.as_str()), (1, ""));
}

#[test]
fn a_page_that_no_client_would_take_is_cut_and_goes_on_behind_its_last_claim() {
    let ack = AckedStream::parse("p".repeat(1280), "o".repeat(256)).unwrap();
    let mut large = ended_as(ClaimState::Released, EndReason::Operator(Arc::from("")));
    if let Some(ending) = &mut large.ending {
        ending.acked_streams = Some(vec![ack; 256]);
        ending.error_message = Text::<1024>::parse("", &"e".repeat(1024)).unwrap().as_str().into();
    }
    let claims: Vec<Claim> = (1..=20)
        .map(|epoch| {
            let mut claim = large.clone();
            claim.id.epoch = Epoch::parse(epoch).unwrap();
            claim
        })
        .collect();
    let answer = claims_listed(&query(), &ClaimPage { claims, next: None, now: NOW });
    assert!(answer.encoded_len() < 4 * 1024 * 1024);
    assert!((1..20).contains(&answer.claims.len()));
    let next = page_token::read(&answer.next_page_token, &query()).unwrap();
    assert_eq!(next.epoch.get(), answer.claims.last().unwrap().epoch);
}
