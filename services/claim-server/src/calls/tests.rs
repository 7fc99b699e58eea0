//! Whole calls, byte by byte, against the real services. The database is one that never answers:
//! none of these calls gets so far, or it says so.

use super::*;
use crate::admin_service::Admin;
use crate::claim_service::Claims;
use crate::keep_alive::KeepAlives;
use crate::peer::{CertificateNames, Peer};
use crate::quota::Quotas;
use crate::quota::table::QuotaTable;
use crate::watches::Watches;
use claim_proto::v1::MintRequest;
use claim_proto::v1::claim_admin_service_server::ClaimAdminServiceServer;
use claim_proto::v1::claim_service_server::ClaimServiceServer;
use claims::store::{ClaimStore, Database, StoreSettings};
use prost::Message;
use std::future::{pending, ready};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};

/// Small, so that a test can be larger.
const REQUEST_BYTES_MAX: usize = 4096;

fn services() -> Routes {
    // Nobody listens on port 1.
    let database = Database::parse("postgres://nobody@127.0.0.1:1/none").unwrap();
    let store = ClaimStore::start(&database, &StoreSettings::default());
    let (database_away, metrics) = (watch::Sender::new(false).subscribe(), Metrics::default());
    let keep_alives = KeepAlives::new(store.clone(), Drain::default(), database_away, &metrics);
    let watches = Watches::new(store.events().clone(), Drain::default(), &metrics);
    let quotas = Quotas::new(QuotaTable::default(), store.weights());
    let claims = Claims::new(store.clone(), quotas, keep_alives, watches, metrics);
    let claims = ClaimServiceServer::new(claims).max_decoding_message_size(REQUEST_BYTES_MAX);
    Routes::new(claims).add_service(ClaimAdminServiceServer::new(Admin::new(store)))
}

fn request(path: &str, body: Vec<u8>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::new(axum::body::Body::from(body)))
        .unwrap()
}

/// A message with its five bytes of frame.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

fn status(response: &Response<Body>) -> Status {
    Status::from_header_map(response.headers()).unwrap()
}

async fn sent(path: &str, body: Vec<u8>) -> Status {
    let calls =
        CallLayer::new(Drain::default(), Access::open(), Metrics::default()).layer(services());
    status(&calls.oneshot(request(path, body)).await.unwrap())
}

const MINT: &str = "/claim.v1.ClaimService/Mint";

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let message = MintRequest {
        entity_url: "/chat/a".into(),
        consumer_id: "w_1".into(),
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let whole = framed(&message);
    let mut bad_flag = whole.clone();
    bad_flag[0] = 7;
    let mut compressed = whole.clone();
    compressed[0] = 1;
    let cases = [
        ("a string that is not UTF-8", framed(&[0x0a, 2, 0xc3, 0x28])),
        ("a field cut off", framed(&message[..message.len() - 1])),
        ("a tag without an end", framed(&[0xff; 11])),
        ("a wire type that is none", framed(&[0x0f])),
        ("a frame cut off", whole[..whole.len() - 1].to_vec()),
        ("a head cut off", whole[..3].to_vec()),
        ("no message at all", vec![]),
        ("a message too large", framed(&vec![0; REQUEST_BYTES_MAX + 1])),
        ("a length beyond all bounds", vec![0, 0xff, 0xff, 0xff, 0xff]),
        ("a flag that is none", bad_flag),
        ("compression that was not announced", compressed),
    ];
    for (what, body) in cases {
        let refused = sent(MINT, body).await;
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused:?}");
        let info = refused.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "claim.v1"));
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations.len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_request_outside_the_limits_does_not_reach_the_database() {
    let refused = sent(MINT, framed(&MintRequest::default().encode_to_vec())).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    let bad = refused.get_details_bad_request().unwrap();
    let fields: Vec<_> = bad.field_violations.iter().map(|bad| bad.field.as_str()).collect();
    assert_eq!(fields, ["entity_url", "consumer_id"]);
}

#[tokio::test]
async fn a_call_without_a_database_is_told_to_come_back() {
    let message = MintRequest {
        entity_url: "/chat/a".into(),
        consumer_id: "w_1".into(),
        ..Default::default()
    };
    let refused = sent(MINT, framed(&message.encode_to_vec())).await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "DATABASE_UNAVAILABLE");
    assert!(refused.get_details_retry_info().is_some());
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    for path in ["/claim.v1.ClaimService/Steal", "/claim.v2.ClaimService/Mint", "/"] {
        assert_eq!(sent(path, framed(&[])).await.code(), Code::Unimplemented, "{path}");
    }
}

/// A service that does nothing but this.
macro_rules! only {
    ($answer:expr) => {
        service_fn(|_: Request<Body>| $answer)
    };
}

#[tokio::test]
async fn a_panic_is_a_fault_of_ours_and_hits_one_call_only() {
    #[expect(unreachable_code, reason = "it panics")]
    let broken = only!(async {
        panic!("a bug");
        Ok::<Response<Body>, Infallible>(Response::default())
    });
    let mut calls =
        CallLayer::new(Drain::default(), Access::open(), Metrics::default()).layer(broken);
    for _ in 0..2 {
        let calls = calls.ready().await.unwrap();
        let failed = status(&calls.call(request(MINT, vec![])).await.unwrap());
        assert_eq!((failed.code(), failed.message()), (Code::Internal, "internal error"));
        let info = failed.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INTERNAL");
        assert!(info.metadata.contains_key("request_id"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_and_answered_deadline_exceeded() {
    struct Told(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (told, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let slow = service_fn(move |_: Request<Body>| {
        let told = Told(told.clone());
        async move {
            let _told = told;
            pending::<Result<Response<Body>, Infallible>>().await
        }
    });
    let calls = CallLayer::new(Drain::default(), Access::open(), Metrics::default()).layer(slow);
    let mut request = request(MINT, vec![]);
    request.headers_mut().insert("grpc-timeout", "2S".parse().unwrap());
    let late = status(&calls.oneshot(request).await.unwrap());
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(late.get_details_error_info().unwrap().reason, "TIMED_OUT");
    dropped.try_recv().unwrap();
}

#[tokio::test]
async fn a_draining_server_turns_calls_away_and_still_tells_its_health() {
    let drain = Drain::default();
    let served = only!(ready(Ok::<_, Infallible>(Response::<Body>::default())));
    let calls = CallLayer::new(drain.clone(), Access::open(), Metrics::default()).layer(served);
    drain.begin();
    let turned_away = calls.clone().oneshot(request(MINT, vec![])).await.unwrap();
    let turned_away = status(&turned_away);
    assert_eq!(turned_away.code(), Code::Unavailable);
    assert_eq!(turned_away.get_details_error_info().unwrap().reason, "DRAINING");
    assert!(turned_away.get_details_retry_info().is_some());
    let health = request("/grpc.health.v1.Health/Check", vec![]);
    let answered = calls.oneshot(health).await.unwrap();
    assert!(Status::from_header_map(answered.headers()).is_none());
}

const RUNNERS: &str = r#"
[[grant]]
callers = ["cert:spiffe://prod/*"]
tenants = ["default"]
roles = ["holder"]
"#;

fn peer(uri: Option<&str>) -> Peer {
    let names = |uri: &str| CertificateNames { uris: vec![uri.to_owned()], dns: vec![] };
    Peer {
        address: "10.0.0.7:4711".parse().unwrap(),
        certificate: uri.map(|uri| Arc::new(names(uri))),
    }
}

/// The status of a call over a connection of that peer.
async fn sent_by(peer: Peer, body: Vec<u8>) -> Status {
    let calls = CallLayer::new(Drain::default(), Access::with_policy(RUNNERS), Metrics::default())
        .layer(services());
    let mut request = request(MINT, body);
    request.extensions_mut().insert(peer);
    status(&calls.oneshot(request).await.unwrap())
}

#[tokio::test]
async fn nothing_is_read_of_a_request_whose_caller_is_not_known() {
    let no_message = || framed(&[0xff; 11]);
    assert_eq!(sent_by(peer(None), no_message()).await.code(), Code::Unauthenticated);
    for uri in ["spiffe://prod/runner", "spiffe://stage/runner"] {
        let refused = sent_by(peer(Some(uri)), no_message()).await;
        assert_eq!(refused.code(), Code::InvalidArgument, "{uri}");
    }
}

#[tokio::test]
async fn a_certificate_permits_what_is_granted_to_its_name() {
    let message = MintRequest {
        entity_url: "/chat/a".into(),
        consumer_id: "w_1".into(),
        ..Default::default()
    };
    let elsewhere = MintRequest { tenant_id: "acme".into(), ..message.clone() };
    for (uri, message, code) in [
        // As far as the database, which is not there.
        ("spiffe://prod/runner", &message, Code::Unavailable),
        ("spiffe://prod/runner", &elsewhere, Code::PermissionDenied),
        ("spiffe://stage/runner", &message, Code::PermissionDenied),
        ("spiffe://prod", &message, Code::PermissionDenied),
    ] {
        let answered = sent_by(peer(Some(uri)), framed(&message.encode_to_vec())).await;
        assert_eq!(answered.code(), code, "{uri}: {answered:?}");
    }
}

#[tokio::test]
async fn whoever_asks_whether_the_service_is_well_is_not_asked_back() {
    let served = only!(ready(Ok::<_, Infallible>(Response::<Body>::default())));
    let calls = CallLayer::new(Drain::default(), Access::with_policy(RUNNERS), Metrics::default())
        .layer(served);
    for path in ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"] {
        let answered = calls.clone().oneshot(request(path, vec![])).await.unwrap();
        assert!(Status::from_header_map(answered.headers()).is_none(), "{path}");
    }
    for path in [MINT, "/claim.v1.ClaimService/Steal", "/"] {
        let refused = status(&calls.clone().oneshot(request(path, vec![])).await.unwrap());
        assert_eq!(refused.code(), Code::Unauthenticated, "{path}");
    }
}
