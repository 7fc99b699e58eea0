use super::*;
use std::collections::HashMap;
use std::time::Duration;
use tonic::Status;

fn status(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let mut details = ErrorDetails::new();
    details.set_error_info(
        reason,
        ERROR_DOMAIN,
        metadata.iter().map(owned).collect::<HashMap<_, _>>(),
    );
    Status::with_error_details(code, "words that nothing acts on", details)
}

fn refusal(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Refusal {
    match Verdict::of(&status(code, reason, metadata)) {
        Verdict::Refused(refusal) => refusal,
        other => panic!("{reason}: {other:?}"),
    }
}

#[test]
fn metadata_of_a_refusal_is_read_into_its_type() {
    let holder = [("holder_consumer_id", "w_1"), ("holder_epoch", "7"), ("takeable_in_ms", "1500")];
    assert_eq!(
        refusal(Code::AlreadyExists, "ALREADY_CLAIMED", &holder),
        Refusal::AlreadyClaimed {
            holder_consumer_id: "w_1".into(),
            holder_epoch: 7,
            takeable_in: Duration::from_millis(1500),
        }
    );
    let newer = [("superseded_by_consumer_id", "w_2"), ("superseded_by_epoch", "8")];
    assert_eq!(
        refusal(Code::FailedPrecondition, "CLAIM_SUPERSEDED", &newer),
        Refusal::ClaimSuperseded { by_consumer_id: "w_2".into(), by_epoch: 8 }
    );
    let ended = [("end_time", "2026-11-20T21:10:28Z"), ("end_reason", "lease_lapsed")];
    assert_eq!(
        refusal(Code::FailedPrecondition, "CLAIM_EXPIRED", &ended),
        Refusal::ClaimExpired(crate::Ending {
            time: "2026-11-20T21:10:28Z".into(),
            reason: "lease_lapsed".into()
        })
    );
}

#[test]
fn every_reason_of_the_contract_that_is_a_loss_is_one_and_no_other() {
    const LOSSES: [(&str, Code); 8] = [
        ("CLAIM_NOT_FOUND", Code::NotFound),
        ("CLAIM_SUPERSEDED", Code::FailedPrecondition),
        ("CLAIM_RELEASED", Code::FailedPrecondition),
        ("CLAIM_FAILED", Code::FailedPrecondition),
        ("CLAIM_EXPIRED", Code::FailedPrecondition),
        ("CLAIM_REVOKED", Code::FailedPrecondition),
        ("CEILING_REACHED", Code::FailedPrecondition),
        ("WRITE_TOKEN_INVALID", Code::PermissionDenied),
    ];
    const OTHERS: [(&str, Code); 8] = [
        ("INVALID_FIELD", Code::InvalidArgument),
        ("ENTITY_NOT_FOUND", Code::NotFound),
        ("ALREADY_CLAIMED", Code::AlreadyExists),
        ("EPOCH_FENCED", Code::FailedPrecondition),
        ("LEASE_LAPSED", Code::FailedPrecondition),
        ("NOT_PERMITTED", Code::PermissionDenied),
        ("UNAUTHENTICATED", Code::Unauthenticated),
        ("OF_A_NEWER_SERVER", Code::FailedPrecondition),
    ];
    for (reason, code) in LOSSES {
        assert!(refusal(code, reason, &[]).is_loss(), "{reason}");
    }
    for (reason, code) in OTHERS {
        assert!(!refusal(code, reason, &[]).is_loss(), "{reason}");
    }
}

#[test]
fn unavailable_and_deadline_exceeded_are_never_definite_whatever_reason_they_carry() {
    for code in [Code::Unavailable, Code::DeadlineExceeded] {
        for reason in ["DRAINING", "CLAIM_EXPIRED", "WRITE_TOKEN_INVALID"] {
            let verdict = Verdict::of(&status(code, reason, &[]));
            assert!(matches!(verdict, Verdict::Again(_)), "{code:?} {reason}: {verdict:?}");
        }
    }
}

#[test]
fn a_reason_whose_code_contradicts_it_is_not_definite() {
    for (code, reason) in [
        (Code::Internal, "CLAIM_EXPIRED"),
        (Code::PermissionDenied, "CLAIM_SUPERSEDED"),
        (Code::FailedPrecondition, "WRITE_TOKEN_INVALID"),
    ] {
        let verdict = Verdict::of(&status(code, reason, &[]));
        assert!(matches!(verdict, Verdict::Failed(_)), "{code:?} {reason}: {verdict:?}");
    }
}

#[test]
fn a_code_without_the_services_own_reason_is_not_definite() {
    let bare = Verdict::of(&Status::not_found("CLAIM_NOT_FOUND"));
    assert!(matches!(bare, Verdict::Failed(_)), "{bare:?}");
    let mut details = ErrorDetails::new();
    details.set_error_info("CLAIM_NOT_FOUND", "elsewhere.v1", HashMap::<String, String>::new());
    let foreign = Status::with_error_details(Code::NotFound, "", details);
    assert!(matches!(Verdict::of(&foreign), Verdict::Failed(_)));
}

#[test]
fn a_shortage_is_repeated_only_if_the_service_says_when() {
    let bare = status(Code::ResourceExhausted, "OVERLOADED", &[]);
    assert!(!matches!(Verdict::of(&bare), Verdict::Again(_)));
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_millis(500)));
    let timed = Status::with_error_details(Code::ResourceExhausted, "", details);
    match Verdict::of(&timed) {
        Verdict::Again(failure) => {
            assert_eq!(failure.retry_after, Some(Duration::from_millis(500)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broken_connection_is_unavailable_whatever_code_the_library_gives_it() {
    let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let status = Status::from_error(Box::new(broken));
    assert_eq!(status.code(), Code::Unknown);
    match Verdict::of(&status) {
        Verdict::Again(failure) => assert_eq!(failure.code, Code::Unavailable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_absurd_request_to_stay_away_is_believed_up_to_a_minute() {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::MAX));
    let away = Status::with_error_details(Code::Unavailable, "", details);
    match Verdict::of(&away) {
        Verdict::Again(failure) => {
            assert!(failure.retry_after.unwrap() <= Duration::from_secs(60));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_that_was_cut_short_is_asked_for_again() {
    assert!(matches!(Verdict::of(&Status::unknown("no status")), Verdict::Again(_)));
}
