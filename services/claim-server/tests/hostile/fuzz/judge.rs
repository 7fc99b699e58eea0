//! What may be answered, whatever was asked.

use super::input::Input;
use crate::support::raw::Answer;
use crate::support::refusal::Refusal;
use tonic::Code;

/// Every reason but that of a fault of ours, and the code that it comes with.
const REASONS: [(&str, Code); 27] = [
    ("INVALID_FIELD", Code::InvalidArgument),
    ("CLAIM_NOT_FOUND", Code::NotFound),
    ("ENTITY_NOT_FOUND", Code::NotFound),
    ("ALREADY_CLAIMED", Code::AlreadyExists),
    ("IDENTITY_IN_USE", Code::AlreadyExists),
    ("EPOCH_FENCED", Code::FailedPrecondition),
    ("ENTITY_NOT_CLAIMABLE", Code::FailedPrecondition),
    ("ENTITY_TERMINAL", Code::FailedPrecondition),
    ("SIGNAL_NOT_APPLICABLE", Code::FailedPrecondition),
    ("CLAIM_SUPERSEDED", Code::FailedPrecondition),
    ("CLAIM_RELEASED", Code::FailedPrecondition),
    ("CLAIM_FAILED", Code::FailedPrecondition),
    ("CLAIM_EXPIRED", Code::FailedPrecondition),
    ("CLAIM_REVOKED", Code::FailedPrecondition),
    ("CEILING_REACHED", Code::FailedPrecondition),
    ("LEASE_LAPSED", Code::FailedPrecondition),
    ("WRITE_TOKEN_INVALID", Code::PermissionDenied),
    ("UNAUTHENTICATED", Code::Unauthenticated),
    ("NOT_PERMITTED", Code::PermissionDenied),
    ("QUOTA_EXCEEDED", Code::ResourceExhausted),
    ("OVERLOADED", Code::ResourceExhausted),
    ("DATABASE_UNAVAILABLE", Code::Unavailable),
    ("DRAINING", Code::Unavailable),
    ("TIMED_OUT", Code::DeadlineExceeded),
    ("EVENTS_PRUNED", Code::OutOfRange),
    ("WATCHER_TOO_SLOW", Code::ResourceExhausted),
    ("UNIMPLEMENTED", Code::Unimplemented),
];
/// Stands for a call that was not one of gRPC and got an answer that is none.
const NOT_GRPC: &str = "NOT_GRPC";
/// Reasons that say to come back, and when.
const RETRYABLE: [&str; 4] = ["QUOTA_EXCEEDED", "OVERLOADED", "DATABASE_UNAVAILABLE", "DRAINING"];

/// How an input was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// As it asked.
    Good,
    /// It began to be, without an end.
    Begun,
    /// For this reason.
    Refused(&'static str),
}

/// Panics unless the answer is one that the contract knows.
pub(crate) fn judge(input: &Input, answer: &Result<Answer, h2::Error>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) if !input.is_grpc => return Verdict::Refused(NOT_GRPC),
        Err(error) => panic!("a call without an answer: {error}"),
    };
    if !answer.has_status() {
        if input.method.is_endless && !answer.body.is_empty() {
            return Verdict::Begun;
        }
        assert!(!input.is_grpc, "an answer without a status: {answer:?}");
        return Verdict::Refused(NOT_GRPC);
    }
    let status = answer.status();
    match status.code() {
        Code::Ok => return Verdict::Good,
        // What there is no method for, or no way to decode, is none of the contract's business.
        Code::Unimplemented if !input.is_grpc => return Verdict::Refused("UNIMPLEMENTED"),
        // Health and reflection are contracts of others, who have no such details.
        Code::NotFound | Code::InvalidArgument | Code::OutOfRange
            if input.method.path.starts_with("grpc.") && status.details().is_empty() =>
        {
            return Verdict::Refused("OF_OTHERS");
        }
        _ => {}
    }
    let refusal = Refusal::of(&status);
    let known = REASONS.iter().find(|(reason, _)| *reason == refusal.reason);
    let Some((reason, code)) = known else { panic!("{refusal:?} is no reason of the contract") };
    assert_eq!(refusal.code, *code, "{refusal:?}");
    assert_eq!(refusal.retry.is_some(), RETRYABLE.contains(reason), "{refusal:?}");
    assert_eq!(!refusal.fields.is_empty(), *reason == "INVALID_FIELD", "{refusal:?}");
    Verdict::Refused(reason)
}
