use super::*;
use crate::calls::method::Method;
use crate::peer::CertificateNames;
use claims::domain::TenantId;
use futures_util::FutureExt;
use http::HeaderValue;
use tonic::Code;
use tonic_types::StatusExt;

const POLICY: &str = r#"
[[grant]]
callers = ["token:ci", "cert:spiffe://prod/runner"]
tenants = ["acme"]
roles = ["observer"]
"#;
const ANYBODY: &str = r#"
[[grant]]
callers = ["anonymous"]
tenants = ["public"]
roles = ["observer"]
"#;

fn access(policy: &str, tokens: &[(&str, &str)]) -> Access {
    let loaded = Loaded {
        policy: Arc::new(Policy::parse(policy).unwrap_or_else(|flaw| panic!("{}", flaw.of("p")))),
        tokens: known(tokens),
        keys: None,
        asks: true,
    };
    Access::new(&AccessConfig { loaded, ..AccessConfig::default() })
}

/// Tokens and who has them.
fn known(tokens: &[(&str, &str)]) -> Arc<Tokens> {
    let line = |(token, name): &(&str, &str)| {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(token.as_bytes());
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits} {name}\n")
    };
    Arc::new(Tokens::parse(&tokens.iter().map(line).collect::<String>()).unwrap())
}

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
}

fn peer(uri: Option<&str>) -> Peer {
    let names = |uri: &str| CertificateNames { uris: vec![uri.to_owned()], dns: vec![] };
    Peer {
        address: "10.0.0.7:4711".parse().unwrap(),
        certificate: uri.map(|uri| Arc::new(names(uri))),
    }
}

async fn name(access: &Access, values: &[&str], uri: Option<&str>) -> Result<String, Refused> {
    let known = access.authenticate(&headers(values), Some(&peer(uri))).await;
    known.map(|caller| caller.name().to_owned())
}

const RUNNER: Option<&str> = Some("spiffe://prod/runner");

#[tokio::test]
async fn a_caller_is_known_by_its_token_or_else_by_its_certificate() {
    let access = access(POLICY, &[("s3cret", "ci")]);
    assert_eq!(name(&access, &["Bearer s3cret"], None).await.unwrap(), "token:ci");
    assert_eq!(name(&access, &["bearer s3cret"], RUNNER).await.unwrap(), "token:ci");
    assert_eq!(name(&access, &[], RUNNER).await.unwrap(), "cert:spiffe://prod/runner");
    assert_eq!(name(&access, &[], None).await.unwrap_err(), Refused::NoCredentials);
    assert_eq!(access.authenticate(&headers(&[]), None).await.unwrap_err(), Refused::NoCredentials);
}

#[tokio::test]
async fn a_bad_token_is_not_made_up_for_by_a_good_certificate_nor_by_nobody() {
    let policy = format!("{POLICY}{ANYBODY}");
    let access = access(&policy, &[("s3cret", "ci")]);
    assert_eq!(name(&access, &[], None).await.unwrap(), "anonymous");
    for (values, why) in [
        (&["Bearer s3cre"][..], Refused::UnknownToken),
        (&["Bearer s3cret "], Refused::UnknownToken),
        (&["Bearer a.b.c"], Refused::UnknownToken),
        (&["Bearer "], Refused::NoBearer),
        (&["Bearer"], Refused::NoBearer),
        (&["s3cret"], Refused::NoBearer),
        (&[""], Refused::NoBearer),
        (&["Basic s3cret"], Refused::NoBearer),
        (&["Bearer s3cret", "Bearer s3cret"], Refused::NoBearer),
    ] {
        for certificate in [RUNNER, None] {
            assert_eq!(name(&access, values, certificate).await.unwrap_err(), why, "{values:?}");
        }
    }
}

#[tokio::test]
async fn where_nobody_is_asked_credentials_play_no_part() {
    let open = Access::open();
    for values in [&[][..], &["Bearer s3cret"], &["Basic x"]] {
        assert_eq!(name(&open, values, RUNNER).await.unwrap(), "anonymous");
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

async fn call(access: &Access, method: Method) -> Call {
    let caller = access.authenticate(&headers(&["Bearer s3cret"]), None).await.unwrap();
    Call::new(access.clone(), caller, method)
}

#[tokio::test]
async fn a_refusal_names_the_role_and_is_the_same_whatever_the_tenant() {
    let access = access(POLICY, &[("s3cret", "ci")]);
    let reading = call(&access, Method::GetClaim).await;
    reading.permit(&tenant("acme"), Asked::Plain).unwrap();
    let refused = reading.permit(&tenant("other"), Asked::Plain).unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.metadata["permission"].as_str()),
        ("NOT_PERMITTED", "observer")
    );
    assert!(!format!("{refused:?}").contains("other"));
    let minting = call(&access, Method::Mint).await;
    let asked = Asked::Claim { runner: "r" };
    let refused = minting.permit(&tenant("acme"), asked).unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["permission"], "holder");
}

#[tokio::test]
async fn a_method_without_a_role_of_its_own_is_permitted_nowhere() {
    let open = Access::open();
    for method in
        [Method::HealthCheck, Method::Reflection, Method::Unknown, Method::GetReaperStatus]
    {
        let call = Call::new(open.clone(), Caller::anonymous(), method);
        let refused = call.permit(&tenant("acme"), Asked::Plain).unwrap_err();
        assert_eq!(refused.code(), Code::Internal, "{method:?}");
    }
    assert_eq!(Call::of(&http::Extensions::new()).unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn a_stream_ends_when_the_token_is_withdrawn_or_passed_on() {
    for tokens in [&[("other", "ci")][..], &[("s3cret", "somebody")]] {
        let access = access(POLICY, &[("s3cret", "ci")]);
        let call = call(&access, Method::KeepAlive).await;
        let mut standing = call.standing(None);
        assert!(standing.lost().now_or_never().is_none());
        // Something else changes.
        access.replace(|loaded| loaded.tokens = known(&[("s3cret", "ci"), ("new", "ci")]));
        assert!(standing.lost().now_or_never().is_none());
        access.replace(|loaded| loaded.tokens = known(tokens));
        assert_eq!(
            standing.lost().now_or_never().expect("it is lost").code(),
            Code::Unauthenticated
        );
    }
}

#[tokio::test]
async fn a_watch_ends_when_its_tenant_is_taken_from_the_caller() {
    let access = access(POLICY, &[("s3cret", "ci")]);
    let call = call(&access, Method::WatchClaimEvents).await;
    let mut standing = call.standing(Some(&tenant("acme")));
    assert!(standing.lost().now_or_never().is_none());
    assert!(call.is_about(&tenant("acme")) && !call.is_about(&tenant("other")));
    let other = Arc::new(Policy::parse(&POLICY.replace("acme", "other")).unwrap());
    access.replace(|loaded| loaded.policy = other.clone());
    assert_eq!(standing.lost().now_or_never().expect("it is lost").code(), Code::PermissionDenied);
    assert!(!call.is_about(&tenant("acme")));
}
