//! The table of errors, row by row.

use super::*;
use claims::domain::{ConsumerId, EntityState, EntityUrl, Epoch, InvalidField, Timestamp};
use claims::store::Sequence;
use tonic::Code;

const MOMENT: Timestamp = Timestamp::from_unix_micros(1_764_580_705_250_000);

fn consumer() -> ConsumerId {
    ConsumerId::parse("w_1").unwrap()
}

fn epoch() -> Epoch {
    Epoch::parse(7).unwrap()
}

fn ended(state: ClaimState) -> Refusal {
    Refusal::ClaimEnded { state, end_time: MOMENT, end_reason: "done".to_owned() }
}

fn metadata(status: &Status) -> Vec<(String, String)> {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "claim.v1");
    let mut metadata: Vec<_> = info.metadata.into_iter().collect();
    metadata.sort();
    metadata
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// A refusal with its code, its reason, and its metadata in order of the keys.
type Row = (Refusal, Code, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn every_refusal_has_its_code_its_reason_and_its_metadata() {
    let holder = Refusal::AlreadyClaimed {
        holder: consumer(),
        epoch: epoch(),
        takeable_in: Duration::from_micros(1_500_001),
    };
    let superseded = Refusal::ClaimSuperseded { by_consumer: consumer(), by_epoch: epoch() };
    let in_use = Refusal::IdentityInUse { entity: EntityUrl::parse("/chat/a").unwrap() };
    let end: &[_] = &[("end_reason", "done"), ("end_time", "2025-12-01T09:18:25.250Z")];
    let by: &[_] = &[("superseded_by_consumer_id", "w_1"), ("superseded_by_epoch", "7")];
    let held: &[_] =
        &[("holder_consumer_id", "w_1"), ("holder_epoch", "7"), ("takeable_in_ms", "1501")];
    let failed = Code::FailedPrecondition;
    let table: Vec<Row> = vec![
        (Refusal::ClaimNotFound, Code::NotFound, "CLAIM_NOT_FOUND", &[]),
        (Refusal::EntityNotFound, Code::NotFound, "ENTITY_NOT_FOUND", &[]),
        (holder, Code::AlreadyExists, "ALREADY_CLAIMED", held),
        (in_use, Code::AlreadyExists, "IDENTITY_IN_USE", &[("entity_url", "/chat/a")]),
        (
            Refusal::EpochFenced { highest: epoch() },
            failed,
            "EPOCH_FENCED",
            &[("highest_epoch", "7")],
        ),
        (
            Refusal::EntityNotClaimable(EntityState::Paused),
            failed,
            "ENTITY_NOT_CLAIMABLE",
            &[("entity_state", "paused")],
        ),
        (
            Refusal::EntityTerminal(EntityState::Killed),
            failed,
            "ENTITY_TERMINAL",
            &[("entity_state", "killed")],
        ),
        (
            Refusal::SignalNotApplicable(EntityState::Stopping),
            failed,
            "SIGNAL_NOT_APPLICABLE",
            &[("entity_state", "stopping")],
        ),
        (superseded, failed, "CLAIM_SUPERSEDED", by),
        (ended(ClaimState::Released), failed, "CLAIM_RELEASED", end),
        (ended(ClaimState::Failed), failed, "CLAIM_FAILED", end),
        (ended(ClaimState::Expired), failed, "CLAIM_EXPIRED", end),
        (ended(ClaimState::Revoked), failed, "CLAIM_REVOKED", end),
        (Refusal::CeilingReached, failed, "CEILING_REACHED", &[]),
        (Refusal::LeaseLapsed, failed, "LEASE_LAPSED", &[]),
        (Refusal::WriteTokenInvalid, Code::PermissionDenied, "WRITE_TOKEN_INVALID", &[]),
    ];
    for (refusal, code, name, expected) in table {
        let status = of(StoreError::Refused(refusal));
        assert_eq!((status.code(), reason(&status).as_str()), (code, name));
        let found = metadata(&status);
        let found: Vec<_> =
            found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(status.get_error_details_vec().len(), 1, "{name} has nothing but its reason");
        assert!(!status.message().is_empty());
    }
}

#[test]
fn failures_have_their_reason_and_say_when_to_come_back() {
    let about = |delay: Duration| (delay.mul_f64(0.9), delay.mul_f64(1.1));
    for (status, code, name, delay) in [
        (of(StoreError::Unavailable), Code::Unavailable, "DATABASE_UNAVAILABLE", RETRY_DATABASE),
        (draining(), Code::Unavailable, "DRAINING", RETRY_DRAINING),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (code, name));
        let (least, most) = about(delay);
        let told = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!((least..=most).contains(&told), "{name}: {told:?}");
        assert_eq!(metadata(&status), [], "{name}");
    }
    for late in [timed_out(), of(StoreError::TimedOut)] {
        assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "TIMED_OUT"));
        assert_eq!(metadata(&late), []);
    }
}

#[test]
fn those_refused_by_a_busy_server_are_told_different_times() {
    let told = |status: &Status| status.get_details_retry_info().unwrap().retry_delay.unwrap();
    let times: Vec<Duration> = overloads().map(|status| told(&status)).collect();
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
    assert_eq!(times.first(), Some(&(RETRY_OVERLOADED / 2)));
    assert_eq!(times.last(), Some(&(RETRY_OVERLOADED * 3 / 2)));
    for status in overloads().chain([of(StoreError::Overloaded)]) {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!((reason(&status).as_str(), metadata(&status)), ("OVERLOADED", vec![]));
        assert!(times.contains(&told(&status)));
    }
}

#[test]
fn the_end_of_a_watch_says_where_to_go_on() {
    let sequence = |number| Sequence::parse("sequence", number).unwrap();
    for (end, code, name, key) in [
        (
            WatchError::Pruned { pruned: sequence(42) },
            Code::OutOfRange,
            "EVENTS_PRUNED",
            "pruned_sequence",
        ),
        (
            WatchError::TooSlow { last: sequence(42) },
            Code::ResourceExhausted,
            "WATCHER_TOO_SLOW",
            "last_sequence",
        ),
    ] {
        let status = of_watch(end);
        assert_eq!((status.code(), reason(&status).as_str()), (code, name));
        assert_eq!(metadata(&status), [(key.to_owned(), "42".to_owned())]);
        assert_eq!(status.get_error_details_vec().len(), 1, "{name} has nothing but its reason");
    }
    let away = of_watch(StoreError::Unavailable.into());
    assert_eq!((away.code(), reason(&away).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    let beyond = of_watch(InvalidField::new("after_sequence", "is beyond the last event").into());
    assert_eq!((beyond.code(), reason(&beyond).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let bad = beyond.get_details_bad_request().unwrap();
    assert_eq!(bad.field_violations[0].field, "after_sequence");
}

#[test]
fn a_fault_of_ours_tells_nothing_but_an_id_to_report() {
    let contradiction = Refusal::ClaimEnded {
        state: ClaimState::Active,
        end_time: MOMENT,
        end_reason: "done".to_owned(),
    };
    for status in [of(StoreError::Internal), internal(), refused(&contradiction)] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL"));
        assert_eq!(status.message(), "internal error");
        let metadata = metadata(&status);
        let [(key, id)] = metadata.as_slice() else { panic!("{metadata:?}") };
        assert_eq!((key.as_str(), id.len()), ("request_id", 16));
    }
    assert_ne!(metadata(&internal()), metadata(&internal()));
}

#[test]
fn an_invalid_request_names_its_fields() {
    let fields = InvalidFields::from(InvalidField::new("epoch", "must be at least 1"));
    let status = invalid(&fields);
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(status.message(), "epoch: must be at least 1");
    let bad = status.get_details_bad_request().unwrap();
    let [violation] = bad.field_violations.as_slice() else { panic!("{bad:?}") };
    assert_eq!(
        (violation.field.as_str(), violation.description.as_str()),
        ("epoch", "must be at least 1")
    );
}

#[test]
fn a_claim_is_never_said_to_be_takeable_earlier_than_it_is() {
    for (length, millis) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_millis(1), "1"),
        (Duration::from_micros(1_001), "2"),
        (Duration::from_secs(600), "600000"),
    ] {
        assert_eq!(millis_rounded_up(length), millis);
    }
}
