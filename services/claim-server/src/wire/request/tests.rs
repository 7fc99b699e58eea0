//! Every limit of the contract, from both sides: what just fits, and what does not.

use super::*;

const TOKEN: &str = "a token";

fn token() -> TokenDigest {
    WriteToken::presented(TOKEN.to_owned()).digest()
}

fn length(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn entity_url(bytes: usize) -> String {
    format!("/{}", text(bytes - 1))
}

fn names(result: Result<(), InvalidFields>) -> Vec<&'static str> {
    let invalid = result.err();
    invalid.iter().flat_map(InvalidFields::violations).map(|violation| violation.field).collect()
}

fn minting(change: impl FnOnce(&mut v1::MintRequest)) -> Result<Mint, InvalidFields> {
    let mut asked = v1::MintRequest {
        entity_url: "/chat/a".into(),
        consumer_id: "w_1".into(),
        ..Default::default()
    };
    change(&mut asked);
    mint(&asked, token())
}

/// The fields that a mint is refused for.
fn bad_mint(change: impl FnOnce(&mut v1::MintRequest)) -> Vec<&'static str> {
    names(minting(change).map(drop))
}

fn beating(change: impl FnOnce(&mut v1::HeartbeatRequest)) -> Result<Heartbeat, InvalidFields> {
    let mut asked =
        v1::HeartbeatRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
    change(&mut asked);
    heartbeat(&asked)
}

fn bad_heartbeat(change: impl FnOnce(&mut v1::HeartbeatRequest)) -> Vec<&'static str> {
    names(beating(change).map(drop))
}

fn finishing(change: impl FnOnce(&mut v1::DoneRequest)) -> Result<Done, InvalidFields> {
    let mut asked = v1::DoneRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
    change(&mut asked);
    done(asked)
}

fn bad_done(change: impl FnOnce(&mut v1::DoneRequest)) -> Vec<&'static str> {
    names(finishing(change).map(drop))
}

fn authorizing(
    change: impl FnOnce(&mut v1::AuthorizeWriteRequest),
) -> Result<AuthorizeWrite, InvalidFields> {
    let mut asked = v1::AuthorizeWriteRequest {
        stream_path: "/chat/a/main".into(),
        write_token: TOKEN.into(),
        ..Default::default()
    };
    change(&mut asked);
    authorize_write(&asked)
}

fn bad_write(change: impl FnOnce(&mut v1::AuthorizeWriteRequest)) -> Vec<&'static str> {
    names(authorizing(change).map(drop))
}

fn listing(change: impl FnOnce(&mut v1::ListClaimsRequest)) -> Result<ClaimQuery, InvalidFields> {
    let mut asked = v1::ListClaimsRequest::default();
    change(&mut asked);
    list_claims(&asked)
}

fn bad_list(change: impl FnOnce(&mut v1::ListClaimsRequest)) -> Vec<&'static str> {
    names(listing(change).map(drop))
}

#[test]
fn a_mint_of_two_names_has_all_the_defaults() {
    let mint = minting(|_| ()).unwrap();
    assert_eq!(mint.tenant.as_str(), "default");
    assert_eq!(mint.stream.as_str(), "/chat/a/main");
    assert_eq!((mint.epoch, mint.asked_ttl, mint.max_duration), (None, None, None));
    assert_eq!(mint.ttl.get(), Duration::from_secs(30));
    assert!(!mint.supersede);
    assert_eq!(mint.token_digest, token());
}

#[test]
fn a_mint_is_converted_field_by_field() {
    let mint = minting(|asked| {
        asked.tenant_id = "acme".into();
        asked.stream_path = "/chat/a/side".into();
        asked.epoch = Some(i64::MAX);
        asked.authority = "sub".into();
        asked.wake_id = "wake".into();
        asked.runner_id = "runner".into();
        asked.request_id = "request".into();
        asked.lease_ttl = length(10, 500_000_000);
        asked.max_duration = length(60, 0);
        asked.supersede = true;
    })
    .unwrap();
    assert_eq!(mint.tenant.as_str(), "acme");
    assert_eq!(mint.entity.as_str(), "/chat/a");
    assert_eq!(mint.stream.as_str(), "/chat/a/side");
    assert_eq!(mint.consumer.as_str(), "w_1");
    assert_eq!(mint.epoch, Some(Epoch::LAST));
    assert_eq!(mint.authority.as_str(), "sub");
    assert_eq!(mint.wake_id.as_str(), "wake");
    assert_eq!(mint.runner_id.as_str(), "runner");
    assert_eq!(mint.request_id.as_str(), "request");
    assert_eq!(mint.asked_ttl, Some(mint.ttl));
    assert_eq!(mint.ttl.get(), Duration::from_millis(10_500));
    assert_eq!(mint.max_duration, Some(Duration::from_secs(60)));
    assert!(mint.supersede);
}

#[test]
fn names_of_full_length_fit() {
    let fits = minting(|asked| {
        asked.tenant_id = text(256);
        asked.entity_url = entity_url(1024);
        asked.stream_path = format!("{}/{}", asked.entity_url, text(255));
        asked.consumer_id = text(256);
        asked.epoch = Some(1);
        asked.authority = text(256);
        asked.wake_id = text(256);
        asked.runner_id = text(256);
        asked.request_id = text(256);
    });
    assert!(fits.is_ok(), "{fits:?}");
}

#[test]
fn a_mint_outside_the_limits_is_refused_by_the_fields_name() {
    type Change = fn(&mut v1::MintRequest);
    let cases: &[(&str, Change)] = &[
        ("tenant_id", |asked| asked.tenant_id = text(257)),
        ("tenant_id", |asked| asked.tenant_id = "a\nb".into()),
        ("entity_url", |asked| asked.entity_url = String::new()),
        ("entity_url", |asked| asked.entity_url = "/".into()),
        ("entity_url", |asked| asked.entity_url = "chat/a".into()),
        ("entity_url", |asked| asked.entity_url = "/chat//a".into()),
        ("entity_url", |asked| asked.entity_url = "/chat/a/".into()),
        ("entity_url", |asked| asked.entity_url = "/chat/\u{7f}".into()),
        ("entity_url", |asked| asked.entity_url = entity_url(1025)),
        ("stream_path", |asked| asked.stream_path = "main".into()),
        ("stream_path", |asked| asked.stream_path = "/chat/a".into()),
        ("stream_path", |asked| asked.stream_path = "/chat/a/".into()),
        ("stream_path", |asked| asked.stream_path = "/chat/b/main".into()),
        ("stream_path", |asked| asked.stream_path = "/chat/a/main/more".into()),
        ("stream_path", |asked| asked.stream_path = format!("/chat/a/{}", text(256))),
        ("consumer_id", |asked| asked.consumer_id = String::new()),
        ("consumer_id", |asked| asked.consumer_id = text(257)),
        ("consumer_id", |asked| asked.consumer_id = "w\u{0}".into()),
        ("consumer_id", |asked| asked.consumer_id = "w\u{2028}".into()),
        ("epoch", |asked| asked.epoch = Some(0)),
        ("epoch", |asked| asked.epoch = Some(-1)),
        ("epoch", |asked| asked.epoch = Some(i64::MIN)),
        ("authority", |asked| asked.authority = "sub".into()),
        ("authority", |asked| (asked.epoch, asked.authority) = (Some(1), text(257))),
        ("wake_id", |asked| asked.wake_id = text(257)),
        ("runner_id", |asked| asked.runner_id = text(257)),
        ("runner_id", |asked| asked.runner_id = "\u{9f}".into()),
        ("request_id", |asked| asked.request_id = text(257)),
        ("lease_ttl", |asked| asked.lease_ttl = length(0, 0)),
        ("lease_ttl", |asked| asked.lease_ttl = length(0, 999_999_999)),
        ("lease_ttl", |asked| asked.lease_ttl = length(600, 1)),
        ("lease_ttl", |asked| asked.lease_ttl = length(-30, 0)),
        ("lease_ttl", |asked| asked.lease_ttl = length(30, -1)),
        ("lease_ttl", |asked| asked.lease_ttl = length(30, 1_000_000_000)),
        ("lease_ttl", |asked| asked.lease_ttl = length(i64::MAX, i32::MAX)),
        ("max_duration", |asked| asked.max_duration = length(0, 999_999_999)),
        ("max_duration", |asked| asked.max_duration = length(86_400, 1)),
        ("max_duration", |asked| asked.max_duration = length(-1, 0)),
        ("max_duration", |asked| asked.max_duration = length(i64::MIN, i32::MIN)),
        ("max_duration", |asked| {
            (asked.lease_ttl, asked.max_duration) = (length(60, 0), length(59, 0));
        }),
    ];
    for (index, (field, change)) in cases.iter().enumerate() {
        assert_eq!(bad_mint(change), [*field], "case {index}");
    }
}

#[test]
fn leases_and_ceilings_at_their_bounds_fit() {
    for (ttl, max) in [(1, 1), (1, 86_400), (600, 600), (600, 86_400)] {
        let fits = minting(|asked| {
            (asked.lease_ttl, asked.max_duration) = (length(ttl, 0), length(max, 0));
        });
        assert!(fits.is_ok(), "{ttl} s, {max} s: {fits:?}");
    }
}

#[test]
fn a_ceiling_below_the_default_lease_becomes_the_lease() {
    let mint = minting(|asked| asked.max_duration = length(5, 0)).unwrap();
    assert_eq!((mint.asked_ttl, mint.ttl.get()), (None, Duration::from_secs(5)));
}

#[test]
fn a_mint_is_refused_for_all_its_faults_at_once() {
    let refused = bad_mint(|asked| {
        asked.tenant_id = text(257);
        asked.entity_url = "chat".into();
        asked.stream_path = "main".into();
        asked.consumer_id = String::new();
        asked.epoch = Some(0);
        asked.authority = text(257);
        asked.wake_id = text(257);
        asked.runner_id = text(257);
        asked.request_id = text(257);
        asked.lease_ttl = length(0, 0);
        asked.max_duration = length(0, 0);
    });
    let all = [
        "tenant_id",
        "entity_url",
        "stream_path",
        "consumer_id",
        "epoch",
        "authority",
        "wake_id",
        "runner_id",
        "request_id",
        "lease_ttl",
        "max_duration",
    ];
    assert_eq!(refused, all);
}

#[test]
fn a_refusal_never_repeats_what_was_sent() {
    let secret = "s3cret\u{1}".repeat(40);
    let invalid = beating(|asked| {
        asked.tenant_id = secret.clone();
        asked.consumer_id = secret.clone();
        asked.write_token = secret.clone();
        asked.progress = Some(secret.clone());
    });
    let told = format!("{:?}", invalid.unwrap_err());
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_heartbeat_without_a_token_or_a_note_supplies_neither() {
    let plain = beating(|_| ()).unwrap();
    assert_eq!((plain.token, plain.ttl, plain.progress), (None, None, None));
    let full = beating(|asked| {
        asked.write_token = TOKEN.into();
        asked.lease_ttl = length(1, 0);
        asked.progress = Some(String::new());
    })
    .unwrap();
    assert_eq!(full.token, Some(token()));
    assert_eq!(full.ttl.unwrap().get(), Duration::from_secs(1));
    assert_eq!(full.progress.unwrap().as_str(), "", "an empty note clears the present one");
}

#[test]
fn a_heartbeat_outside_the_limits_is_refused_by_the_fields_name() {
    type Change = fn(&mut v1::HeartbeatRequest);
    let cases: &[(&str, Change)] = &[
        ("tenant_id", |asked| asked.tenant_id = text(257)),
        ("consumer_id", |asked| asked.consumer_id = String::new()),
        ("epoch", |asked| asked.epoch = 0),
        ("epoch", |asked| asked.epoch = -7),
        ("write_token", |asked| asked.write_token = text(257)),
        ("lease_ttl", |asked| asked.lease_ttl = length(601, 0)),
        ("lease_ttl", |asked| asked.lease_ttl = length(0, -1)),
        ("progress", |asked| asked.progress = Some(text(257))),
        ("progress", |asked| asked.progress = Some("\r".into())),
    ];
    for (index, (field, change)) in cases.iter().enumerate() {
        assert_eq!(bad_heartbeat(change), [*field], "case {index}");
    }
    assert!(beating(|asked| asked.progress = Some("a\tb\nc".into())).is_ok());
    assert!(beating(|asked| asked.write_token = "\u{0}".repeat(256)).is_ok());
}

#[test]
fn a_done_is_completed_unless_it_says_that_it_failed() {
    let outcome = |number| finishing(|asked| asked.outcome = number).unwrap().outcome;
    assert_eq!(outcome(0), DoneOutcome::Completed);
    assert_eq!(outcome(1), DoneOutcome::Completed);
    assert_eq!(outcome(2), DoneOutcome::Failed);
}

#[test]
fn a_done_outside_the_limits_is_refused_by_the_fields_name() {
    type Change = fn(&mut v1::DoneRequest);
    let ack =
        |path: usize, offset: usize| v1::AckedStream { path: text(path), offset: text(offset) };
    let cases: &[(&str, Change)] = &[
        ("tenant_id", |asked| asked.tenant_id = text(257)),
        ("consumer_id", |asked| asked.consumer_id = text(257)),
        ("epoch", |asked| asked.epoch = 0),
        ("write_token", |asked| asked.write_token = text(257)),
        ("outcome", |asked| asked.outcome = 3),
        ("outcome", |asked| asked.outcome = -1),
        ("error_message", |asked| asked.error_message = text(1025)),
        ("error_message", |asked| asked.error_message = "\u{1b}".into()),
        ("acked_streams", |asked| asked.acked_streams = vec![Default::default(); 257]),
        ("acked_streams.path", |asked| {
            asked.acked_streams =
                vec![v1::AckedStream { path: "a\nb".into(), ..Default::default() }];
        }),
        ("acked_streams.offset", |asked| {
            asked.acked_streams =
                vec![v1::AckedStream { offset: "\t".into(), ..Default::default() }];
        }),
    ];
    for (index, (field, change)) in cases.iter().enumerate() {
        assert_eq!(bad_done(change), [*field], "case {index}");
    }
    let too_long = |asked: &mut v1::DoneRequest| asked.acked_streams = vec![ack(1281, 0)];
    assert_eq!(bad_done(too_long), ["acked_streams.path"]);
    let too_long = |asked: &mut v1::DoneRequest| asked.acked_streams = vec![ack(0, 257)];
    assert_eq!(bad_done(too_long), ["acked_streams.offset"]);
    let full = finishing(|asked| {
        asked.acked_streams = vec![ack(1280, 256); 256];
        asked.error_message = text(1024);
    });
    assert_eq!(full.unwrap().acked_streams.len(), 256);
}

#[test]
fn a_bad_ack_is_named_by_its_place() {
    let invalid = finishing(|asked| {
        asked.acked_streams = vec![Default::default(); 9];
        asked.acked_streams[7].path = "\u{0}".into();
        asked.acked_streams[8].path = "\u{0}".into();
    });
    let invalid = invalid.unwrap_err();
    let [violation] = invalid.violations() else { panic!("{invalid:?}") };
    assert!(violation.problem.starts_with("entry 7: "), "{violation}");
}

#[test]
fn any_write_token_of_256_bytes_is_looked_at_when_a_write_is_asked_for() {
    for token in ["", "wrong", "\u{0}\r\n", &"ü".repeat(128)] {
        let write = authorizing(|asked| asked.write_token = token.into()).unwrap();
        assert_eq!(write.token, WriteToken::presented(token.to_owned()).digest());
    }
}

#[test]
fn a_write_outside_the_limits_is_refused_by_the_fields_name() {
    assert_eq!(bad_write(|asked| asked.tenant_id = text(257)), ["tenant_id"]);
    assert_eq!(bad_write(|asked| asked.stream_path = String::new()), ["stream_path"]);
    assert_eq!(bad_write(|asked| asked.stream_path = "/a".into()), ["stream_path"]);
    assert_eq!(bad_write(|asked| asked.stream_path = "/a//main".into()), ["stream_path"]);
    assert_eq!(bad_write(|asked| asked.write_token = text(257)), ["write_token"]);
    let both = bad_write(|asked| {
        asked.stream_path = String::new();
        asked.write_token = text(257);
    });
    assert_eq!(both, ["stream_path", "write_token"]);
}

#[test]
fn a_claim_or_entity_to_read_must_be_named() {
    let invalid = get_claim(&v1::GetClaimRequest::default());
    assert_eq!(names(invalid.map(drop)), ["consumer_id", "epoch"]);
    let invalid = get_entity(&v1::GetEntityRequest::default());
    assert_eq!(names(invalid.map(drop)), ["entity_url"]);
}

#[test]
fn a_list_without_conditions_is_of_all_claims_of_the_default_tenant() {
    let query = listing(|_| ()).unwrap();
    assert_eq!(query.tenant.as_str(), "default");
    assert!(query.entity.is_none() && query.runner.is_none() && query.after.is_none());
    assert_eq!((query.states.len(), query.lapsed_only, query.page_size), (0, false, 100));
}

#[test]
fn every_state_can_be_asked_for_and_each_counts_once() {
    let query = listing(|asked| asked.states = vec![6, 5, 4, 3, 2, 1, 1, 6]).unwrap();
    assert_eq!(query.states, ClaimState::ALL);
}

#[test]
fn a_list_outside_the_limits_is_refused_by_the_fields_name() {
    type Change = fn(&mut v1::ListClaimsRequest);
    let cases: &[(&str, Change)] = &[
        ("tenant_id", |asked| asked.tenant_id = text(257)),
        ("entity_url", |asked| asked.entity_url = "chat".into()),
        ("runner_id", |asked| asked.runner_id = text(257)),
        ("states", |asked| asked.states = vec![0]),
        ("states", |asked| asked.states = vec![1, 7]),
        ("states", |asked| asked.states = vec![-1; 1000]),
        ("page_size", |asked| asked.page_size = -1),
        ("page_size", |asked| asked.page_size = 1001),
        ("page_size", |asked| asked.page_size = i64::MAX),
        ("page_token", |asked| asked.page_token = "none of ours".into()),
    ];
    for (index, (field, change)) in cases.iter().enumerate() {
        assert_eq!(bad_list(change), [*field], "case {index}");
    }
    assert_eq!(listing(|asked| asked.page_size = 1000).unwrap().page_size, 1000);
}
