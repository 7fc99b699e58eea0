use super::*;
use claims::domain::{ClaimId, ConsumerId, EntityKey, EntityUrl, Epoch};
use tonic::Code;
use tonic_types::StatusExt;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn heartbeat(of: &str) -> Heartbeat {
    let id = ClaimId {
        tenant: tenant(of),
        consumer: ConsumerId::parse("w_1").unwrap(),
        epoch: Epoch::parse(1).unwrap(),
    };
    Heartbeat { id, token: None, ttl: None, progress: None }
}

fn read(of: &str) -> EntityKey {
    EntityKey { tenant: tenant(of), url: EntityUrl::parse("/chat/a").unwrap() }
}

fn quotas(text: &str) -> Quotas {
    Quotas::new(QuotaTable::parse(text).unwrap(), &Weights::default())
}

fn call(quotas: &Quotas, caller: &str) -> Quota {
    quotas.of(caller.into(), &Extensions::new())
}

/// What a refusal says, and how long it lasts.
fn exceeded<T>(answer: Result<T, Status>) -> (String, Duration) {
    let Err(status) = answer else { panic!("it was let in") };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().unwrap().reason, "QUOTA_EXCEEDED");
    let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    (status.message().to_owned(), retry)
}

#[test]
fn a_tenant_beyond_its_quota_is_told_when_to_come_back_and_others_are_not_concerned() {
    let quotas = quotas("[tenant.a]\ncalls_per_second = 1");
    let call = call(&quotas, "anonymous");
    call.charge(&read("a")).unwrap();
    let (text, retry) = exceeded(call.charge(&read("a")));
    assert_eq!(text, "the quota calls_per_second of the tenant is used up");
    assert!(retry > Duration::from_millis(500) && retry <= Duration::from_secs(1), "{retry:?}");
    assert!((0..1_000).all(|_| call.charge(&read("b")).is_ok()));
}

#[test]
fn the_store_is_told_the_weights_and_forgets_those_of_before() {
    let weights = Weights::default();
    let table = |text| QuotaTable::parse(text).unwrap();
    let quotas = Quotas::new(table("[tenant.a]\nweight = 4\n[tenant.b]\nwatchers = 1"), &weights);
    let of = |name| weights.of(Some(&tenant(name)));
    assert_eq!((of("a"), of("b"), of("c")), (4, 1, 1));
    quotas.replace(table("[tenant.b]\nweight = 2"));
    assert_eq!((of("a"), of("b"), weights.of(None)), (1, 2, 1));
}

#[test]
fn who_has_no_reads_left_can_still_heartbeat() {
    let quotas = quotas("[default_tenant]\ncalls_per_second = 1");
    let call = call(&quotas, "anonymous");
    call.charge(&read("a")).unwrap();
    exceeded(call.charge(&read("a")));
    call.charge(&heartbeat("a")).unwrap();
    exceeded(call.charge(&heartbeat("a")));
}

#[test]
fn of_many_heartbeats_as_many_are_let_in_as_the_quota_allows() {
    let quotas = quotas("[default_tenant]\ncalls_per_second = 1\nburst = 3");
    let call = call(&quotas, "anonymous");
    let let_in = (0..10).filter(|_| call.charged(Ok(heartbeat("a"))).is_ok()).count();
    assert_eq!(let_in, 3);
    let invalid = call.charged(Err(Status::invalid_argument("no")));
    assert_eq!(invalid.unwrap_err().code(), Code::InvalidArgument, "what is wrong stays wrong");
}

#[test]
fn a_caller_has_a_quota_over_all_tenants_and_takes_nothing_from_a_tenant_when_it_is_used_up() {
    let quotas = quotas("[caller.noisy]\ncalls_per_second = 1\n[tenant.b]\ncalls_per_second = 1");
    let noisy = call(&quotas, "noisy");
    noisy.charge(&read("a")).unwrap();
    let (text, _) = exceeded(noisy.charge(&read("b")));
    assert_eq!(text, "the quota calls_per_second of the caller is used up");
    call(&quotas, "quiet").charge(&read("b")).unwrap();
}

#[test]
fn other_limits_count_at_once_and_what_is_used_stays_used() {
    let quotas = quotas("[default_tenant]\ncalls_per_second = 1");
    let call = call(&quotas, "anonymous");
    call.charge(&read("a")).unwrap();
    quotas.replace(QuotaTable::default());
    assert!((0..100).all(|_| call.charge(&read("a")).is_ok()));
    quotas.replace(QuotaTable::parse("[default_tenant]\ncalls_per_second = 1").unwrap());
    exceeded(call.charge(&read("a")));
}

#[test]
fn a_caller_has_as_many_streams_and_a_tenant_as_many_watches_as_it_may() {
    let quotas = quotas("[default_caller]\nstreams = 1\n[default_tenant]\nwatchers = 1");
    let (one, other) = (call(&quotas, "one"), call(&quotas, "other"));
    let stream = one.open_stream().unwrap();
    assert_eq!(exceeded(one.open_stream()).0, "the quota streams of the caller is used up");
    let _others = other.open_stream().unwrap();
    drop(stream);
    let _stream = one.open_stream().unwrap();

    let watch = one.open_watch(&tenant("a")).unwrap();
    assert_eq!(
        exceeded(other.open_watch(&tenant("a"))).0,
        "the quota watchers of the tenant is used up"
    );
    let _others = one.open_watch(&tenant("b")).unwrap();
    drop(watch);
    other.open_watch(&tenant("a")).unwrap();
}

#[test]
fn a_watch_that_its_caller_may_not_have_takes_no_place_of_the_tenant() {
    let quotas = quotas("[caller.none]\nwatchers = 0\n[default_tenant]\nwatchers = 1");
    assert_eq!(
        exceeded(call(&quotas, "none").open_watch(&tenant("a"))).0,
        "the quota watchers of the caller is used up"
    );
    call(&quotas, "one").open_watch(&tenant("a")).unwrap();
}
