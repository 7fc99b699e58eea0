use super::*;
use claims::domain::{
    Authority, Claim, ClaimState, Directive, EndReason, Ending, EntityUrl, Epoch, Fence, Lease,
    LeaseTtl, Refusal, Renewal, RequestId, RunnerId, StreamPath, Timestamp, WakeId, WriteToken,
};
use claims::testing::{claim_id, consumer, heartbeat};
use futures_util::FutureExt;
use std::time::Duration;

/// When claims are minted here.
const MINTED: Timestamp = Timestamp::from_unix_micros(1_764_580_705_000_000);

fn second(number: u64) -> Timestamp {
    MINTED + Duration::from_secs(number)
}

fn token(of: &str) -> TokenDigest {
    WriteToken::presented(of.to_owned()).digest()
}

fn active(id: &ClaimId) -> Claim {
    let entity = EntityUrl::parse("/chat/a").unwrap();
    Claim {
        id: id.clone(),
        stream: StreamPath::of_entity(&entity, "").unwrap(),
        entity,
        authority: Authority::parse("").unwrap(),
        wake_id: WakeId::parse("").unwrap(),
        runner_id: RunnerId::parse("").unwrap(),
        request_id: RequestId::parse("").unwrap(),
        claimed_at: MINTED,
        fence: Fence::parse(1).unwrap(),
        token_digest: token("right"),
        state: ClaimState::Active,
        superseded_by: None,
        lease: Lease::first(MINTED, LeaseTtl::parse(Duration::from_secs(30)).unwrap(), None),
        progress: None,
        ending: None,
    }
}

fn stopped(id: &ClaimId, at: u64) -> Found {
    let mut claim = active(id);
    claim.lease.stop = true;
    Ok((claim, second(at)))
}

fn superseded(id: &ClaimId) -> Found {
    let by = Some((consumer("w_2"), Epoch::parse(2).unwrap()));
    Ok((Claim { state: ClaimState::Superseded, superseded_by: by, ..active(id) }, second(1)))
}

fn revoked(id: &ClaimId) -> Found {
    let ending = Ending {
        at: second(1),
        reason: EndReason::Operator("why".into()),
        entity_cleared: true,
        acked_streams: None,
        error_message: String::new(),
    };
    Ok((Claim { state: ClaimState::Revoked, ending: Some(ending), ..active(id) }, second(1)))
}

/// The answer to a heartbeat that was accepted then.
fn accepted(at: u64) -> beat::Answer {
    let ttl = LeaseTtl::parse(Duration::from_secs(30)).unwrap();
    Ok(Ok(Renewal {
        expires_at: second(at) + ttl.get(),
        remaining: ttl.get(),
        ttl,
        directive: Directive::Continue,
        had_lapsed: false,
        ceiling_remaining: None,
    }))
}

impl Listener {
    /// The heartbeat that was sent last was answered.
    fn answered_newest(&self, id: &ClaimId, token: Option<TokenDigest>, answer: &beat::Answer) {
        let newest = locked(&self.ear.heard).last;
        self.answered(id, newest, token, answer);
    }
}

fn refused(refusal: Refusal) -> beat::Answer {
    Ok(Err(StoreError::Refused(refusal)))
}

/// A stream that has had a heartbeat of the claim accepted.
fn holder(all: &Arc<Listeners>, id: &ClaimId) -> Listener {
    let listener = Listener::among(all);
    listener.sending(&heartbeat(id));
    listener.answered_newest(id, None, &accepted(0));
    listener
}

fn next(listener: &Listener) -> Option<(ClaimId, Push)> {
    listener.push().now_or_never()
}

fn reason(listener: &Listener) -> Option<Refusal> {
    match next(listener)?.1 {
        Push::Lost(refusal) => Some(refusal),
        stop @ Push::Stop { .. } => panic!("{stop:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_waits_is_woken_by_news_of_its_claim_and_of_no_other() {
    let all = Arc::new(Listeners::default());
    let (id, other) = (claim_id("w_1", 1), claim_id("w_1", 2));
    let listener = holder(&all, &id);
    let mut waiting = Box::pin(listener.push());
    assert!(waiting.as_mut().now_or_never().is_none());
    all.tell(&other, &revoked(&other));
    assert!(waiting.as_mut().now_or_never().is_none());
    all.tell(&id, &revoked(&id));
    let (told, push) = waiting.await;
    assert_eq!(told, id);
    assert!(push.is_last());
}

#[test]
fn what_is_heard_before_the_first_answer_is_told_once_the_heartbeat_was_accepted() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = Listener::among(&all);
    listener.sending(&heartbeat(&id));
    all.tell(&id, &superseded(&id));
    assert_eq!(next(&listener), None, "it is not known yet whose claim that is");
    listener.answered_newest(&id, None, &accepted(0));
    assert!(matches!(reason(&listener), Some(Refusal::ClaimSuperseded { .. })));
    assert_eq!(next(&listener), None);
}

#[test]
fn a_stream_whose_heartbeats_of_a_claim_were_refused_hears_nothing_of_it() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let not_accepted = [
        refused(Refusal::WriteTokenInvalid),
        refused(Refusal::ClaimNotFound),
        Ok(Err(StoreError::Unavailable)),
    ];
    for answer in not_accepted {
        let listener = Listener::among(&all);
        listener.sending(&heartbeat(&id));
        listener.sending(&heartbeat(&id));
        all.tell(&id, &stopped(&id, 1));
        listener.answered_newest(&id, None, &answer);
        listener.answered_newest(&id, None, &answer);
        assert_eq!(next(&listener), None, "{answer:?}");
        assert!(all.are_none(), "{answer:?}");
    }
}

#[test]
fn a_refused_heartbeat_does_not_take_an_accepted_claim_away() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = holder(&all, &id);
    listener.sending(&heartbeat(&id));
    listener.answered_newest(&id, Some(token("wrong")), &refused(Refusal::WriteTokenInvalid));
    all.tell(&id, &revoked(&id));
    assert!(matches!(reason(&listener), Some(Refusal::ClaimEnded { .. })));
}

#[test]
fn a_claim_that_has_ended_is_forgotten_when_its_holder_knows_and_one_superseded_is_not() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let pushed = holder(&all, &id);
    let answered = holder(&all, &id);
    all.tell(&id, &superseded(&id));
    reason(&pushed).unwrap();
    reason(&answered).unwrap();
    assert!(all.care_for(&id));
    all.tell(&id, &revoked(&id));
    answered.sending(&heartbeat(&id));
    let ended = Push::of(&id, None, &revoked(&id));
    let Some(Push::Lost(refusal)) = ended else { panic!("{ended:?}") };
    answered.answered_newest(&id, None, &refused(refusal));
    assert_eq!(next(&answered), None, "the answer has told it");
    assert!(all.care_for(&id), "the other has not heard of it");
    reason(&pushed).unwrap();
    assert!(all.are_none());
}

#[test]
fn of_each_claim_only_the_newest_is_kept() {
    let all = Arc::new(Listeners::default());
    let (id, other) = (claim_id("w_1", 1), claim_id("w_2", 1));
    let listener = holder(&all, &id);
    listener.sending(&heartbeat(&other));
    listener.answered_newest(&other, None, &accepted(0));
    for at in 1..100 {
        all.tell(&id, &stopped(&id, at));
        all.tell(&other, &stopped(&other, at));
    }
    all.tell(&id, &superseded(&id));
    assert!(matches!(next(&listener), Some((told, Push::Lost(_))) if told == id));
    let Some((told, Push::Stop { at, .. })) = next(&listener) else { panic!("no stop") };
    assert_eq!((told, at), (other, second(99)));
    assert_eq!(next(&listener), None);
}

#[test]
fn a_stop_that_was_taken_back_before_it_was_told_is_not_told() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = holder(&all, &id);
    all.tell(&id, &stopped(&id, 1));
    all.tell(&id, &Ok((active(&id), second(2))));
    assert_eq!(next(&listener), None);
    all.tell(&id, &stopped(&id, 3));
    assert!(next(&listener).is_some());
    assert_eq!(next(&listener), None);
}

#[test]
fn an_answer_that_came_after_a_stop_was_found_is_told_instead_of_it() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = holder(&all, &id);
    all.tell(&id, &stopped(&id, 5));
    listener.sending(&heartbeat(&id));
    listener.answered_newest(&id, None, &accepted(4));
    assert!(matches!(next(&listener), Some((_, Push::Stop { .. }))), "the answer is older");
    all.tell(&id, &stopped(&id, 5));
    listener.sending(&heartbeat(&id));
    listener.answered_newest(&id, None, &accepted(6));
    assert_eq!(next(&listener), None);
    // And what is new after that is told again.
    all.tell(&id, &stopped(&id, 7));
    assert!(next(&listener).is_some());
}

#[test]
fn a_holder_is_told_what_its_own_heartbeat_would_be_told() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let with = |name: &str| {
        let listener = Listener::among(&all);
        listener.sending(&heartbeat(&id));
        listener.answered_newest(&id, Some(token(name)), &accepted(0));
        listener
    };
    let (right, older) = (with("right"), with("older"));
    all.tell(&id, &stopped(&id, 1));
    let Some((_, Push::Stop { lease, .. })) = next(&right) else { panic!("no stop") };
    assert_eq!((lease.remaining, lease.directive), (Duration::from_secs(29), Directive::Stop));
    assert_eq!(reason(&older), Some(Refusal::WriteTokenInvalid));
    // What a heartbeat would just accept is not told.
    all.tell(&id, &Ok((active(&id), second(1))));
    assert_eq!((next(&right), next(&older).is_some()), (None, true));
    all.tell(&id, &Err(Refusal::ClaimNotFound));
    assert_eq!(reason(&right), Some(Refusal::ClaimNotFound));
}

#[test]
fn a_stream_that_is_gone_leaves_nothing_behind() {
    let all = Arc::new(Listeners::default());
    let ids: Vec<_> = (1..100).map(|epoch| claim_id("w_1", epoch)).collect();
    let (stays, goes) = (Listener::among(&all), Listener::among(&all));
    for id in &ids {
        goes.sending(&heartbeat(id));
        goes.answered_newest(id, None, &accepted(0));
    }
    stays.sending(&heartbeat(&ids[0]));
    stays.answered_newest(&ids[0], None, &accepted(0));
    drop(goes);
    assert!(all.care_for(&ids[0]) && !all.care_for(&ids[1]));
    drop(stays);
    assert!(all.are_none());
}

#[test]
fn a_stream_listens_for_a_bounded_number_of_claims() {
    let all = Arc::new(Listeners::default());
    let listener = Listener::among(&all);
    let ids: Vec<_> = (1..).map(|epoch| claim_id("w_1", epoch)).take(CLAIMS_MAX + 1).collect();
    for id in &ids {
        listener.sending(&heartbeat(id));
        listener.answered_newest(id, None, &accepted(0));
    }
    assert!(all.care_for(&ids[CLAIMS_MAX - 1]) && !all.care_for(&ids[CLAIMS_MAX]));
    // The place of one that has ended is another's.
    all.tell(&ids[0], &revoked(&ids[0]));
    next(&listener).unwrap();
    listener.sending(&heartbeat(&ids[CLAIMS_MAX]));
    assert!(all.care_for(&ids[CLAIMS_MAX]));
}

#[test]
fn what_is_heard_before_the_first_answer_is_told_to_the_holder_of_the_right_token() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = Listener::among(&all);
    let wrong = listener.sending(&heartbeat(&id));
    let right = listener.sending(&heartbeat(&id));
    all.tell(&id, &stopped(&id, 1));
    listener.answered(&id, right, Some(token("right")), &accepted(0));
    listener.answered(&id, wrong, Some(token("wrong")), &refused(Refusal::WriteTokenInvalid));
    assert!(matches!(next(&listener), Some((_, Push::Stop { .. }))));
    assert_eq!(next(&listener), None);
}

#[test]
fn the_token_is_that_of_the_newest_accepted_heartbeat_in_whatever_order_answers_come() {
    let all = Arc::new(Listeners::default());
    let id = claim_id("w_1", 1);
    let listener = Listener::among(&all);
    let older = listener.sending(&heartbeat(&id));
    let newer = listener.sending(&heartbeat(&id));
    listener.answered(&id, newer, Some(token("right")), &accepted(1));
    listener.answered(&id, older, Some(token("older")), &accepted(0));
    all.tell(&id, &stopped(&id, 2));
    assert!(matches!(next(&listener), Some((_, Push::Stop { .. }))));
}

#[test]
fn only_entities_of_claims_that_somebody_listens_for_concern_anybody() {
    let all = Arc::new(Listeners::default());
    let (id, other) = (claim_id("w_1", 1), claim_id("w_2", 1));
    let (_one, _two) = (holder(&all, &id), holder(&all, &other));
    let url = |url: &str| EntityUrl::parse(url).unwrap();
    let key = |name: &str| EntityKey { tenant: id.tenant.clone(), url: url(name) };
    let foreign = TenantId::parse("foreign").unwrap();
    assert_eq!(all.unplaced(&[&foreign].into()), []);
    assert_eq!(all.unplaced(&[&id.tenant].into()).len(), 2);
    all.place(&id, &url("/a"));
    all.place(&claim_id("nobody", 1), &url("/b"));
    assert_eq!(all.unplaced(&[&id.tenant].into()), [other]);
    let elsewhere = EntityKey { tenant: foreign, url: url("/a") };
    let signaled = [key("/a"), key("/b"), elsewhere].into();
    assert_eq!(all.concerned(&signaled), [key("/a")].into());
}
