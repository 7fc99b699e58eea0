//! From a no or a failure to a gRPC status. Every one carries exactly one `google.rpc.ErrorInfo`,
//! by which callers act; the text is for people.

use crate::access::Role;
use crate::jitter;
use crate::quota::exceeded::Exceeded;
use crate::reason::Reason;
use crate::wire::{InvalidFields, rfc3339};
use claim_proto::ERROR_DOMAIN;
use claims::domain::{ClaimState, Refusal};
use claims::store::{ListError, Sequence, StoreError, WatchError};
use prost::Message;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// When to come back to a server that has too much to do: its queues empty in less, or they stand,
/// and a mint that waits in them waits a fraction of it. Those that are refused at the same moment are told
/// different times, in steps between half and one and a half of this, so that they do not come back
/// as one. So few steps that all of them fit into the header table of a connection (4 KiB).
const RETRY_OVERLOADED: Duration = Duration::from_millis(500);
const RETRY_OVERLOADED_STEPS: u32 = 8;
/// What a tenant far beyond its quota of calls is told, in milliseconds: the first that is not too early.
/// As few as fit into the header table of a connection, for calls that are refused at the entrance.
const RETRY_EXCEEDED_MS: [u64; 12] =
    [1, 3, 10, 30, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000];
/// When to come back while the database is away: a failover takes seconds, and a heartbeat has
/// several tries in a lease.
const RETRY_DATABASE: Duration = Duration::from_secs(1);
/// When to come back to a service one of whose servers drains: another one answers at once.
const RETRY_DRAINING: Duration = Duration::from_millis(100);

/// The key of the metadata by which a failure is found in the log.
const REQUEST_ID: &str = "request_id";

/// The status of a call that the store did not answer well.
pub(crate) fn of(error: StoreError) -> Status {
    match error {
        StoreError::Refused(refusal) => refused(&refusal),
        StoreError::Overloaded => overloaded(),
        StoreError::Unavailable => database_unavailable(),
        StoreError::TimedOut => timed_out(),
        StoreError::Internal => internal(),
    }
}

/// The status of a refusal.
pub(crate) fn refused(refusal: &Refusal) -> Status {
    let (reason, metadata) = match refusal {
        Refusal::ClaimNotFound => (Reason::ClaimNotFound, vec![]),
        Refusal::EntityNotFound => (Reason::EntityNotFound, vec![]),
        Refusal::AlreadyClaimed { holder, epoch, takeable_in } => (
            Reason::AlreadyClaimed,
            vec![
                ("holder_consumer_id", holder.to_string()),
                ("holder_epoch", epoch.to_string()),
                ("takeable_in_ms", millis_rounded_up(*takeable_in)),
            ],
        ),
        Refusal::IdentityInUse { entity } => {
            (Reason::IdentityInUse, vec![("entity_url", entity.to_string())])
        }
        Refusal::EpochFenced { highest } => {
            (Reason::EpochFenced, vec![("highest_epoch", highest.to_string())])
        }
        Refusal::EntityNotClaimable(state) => {
            (Reason::EntityNotClaimable, vec![("entity_state", state.as_str().to_owned())])
        }
        Refusal::EntityTerminal(state) => {
            (Reason::EntityTerminal, vec![("entity_state", state.as_str().to_owned())])
        }
        Refusal::SignalNotApplicable(state) => {
            (Reason::SignalNotApplicable, vec![("entity_state", state.as_str().to_owned())])
        }
        Refusal::ClaimSuperseded { by_consumer, by_epoch } => (
            Reason::ClaimSuperseded,
            vec![
                ("superseded_by_consumer_id", by_consumer.to_string()),
                ("superseded_by_epoch", by_epoch.to_string()),
            ],
        ),
        Refusal::ClaimEnded { state, end_time, end_reason } => {
            let reason = match state {
                ClaimState::Released => Reason::ClaimReleased,
                ClaimState::Failed => Reason::ClaimFailed,
                ClaimState::Expired => Reason::ClaimExpired,
                ClaimState::Revoked => Reason::ClaimRevoked,
                // A live claim has not ended: the refusal contradicts itself.
                ClaimState::Active | ClaimState::Superseded => return internal(),
            };
            let end_time = ("end_time", rfc3339(*end_time));
            (reason, vec![end_time, ("end_reason", end_reason.clone())])
        }
        Refusal::CeilingReached => (Reason::CeilingReached, vec![]),
        Refusal::LeaseLapsed => (Reason::LeaseLapsed, vec![]),
        Refusal::WriteTokenInvalid => (Reason::WriteTokenInvalid, vec![]),
    };
    status(reason, refusal.to_string(), metadata, ErrorDetails::new())
}

/// The status of a request whose fields do not fit their limits.
pub(crate) fn invalid(fields: &InvalidFields) -> Status {
    let violations = fields.violations();
    let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let violations: Vec<FieldViolation> = violations
        .iter()
        .map(|violation| FieldViolation::new(violation.field, &violation.problem))
        .collect();
    let details = ErrorDetails::with_bad_request(violations);
    status(Reason::InvalidField, text.join("; "), vec![], details)
}

/// The status of bytes that are no request. Where no field can be named the path is empty, which
/// stands for the message itself.
pub(crate) fn malformed(field: &str, problem: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, problem);
    status(Reason::InvalidField, format!("malformed request: {problem}"), vec![], details)
}

/// The status of a call whose caller is not known, whatever is wrong with the credentials.
pub(crate) fn unauthenticated() -> Status {
    let text = "credentials are missing or not valid".to_owned();
    status(Reason::Unauthenticated, text, vec![], ErrorDetails::new())
}

/// The status of a call whose caller lacks a role, whether there is such a tenant or not.
pub(crate) fn not_permitted(role: Role) -> Status {
    let text =
        format!("the caller is not permitted to do that; it takes the role {}", role.as_str());
    let metadata = vec![("permission", role.as_str().to_owned())];
    status(Reason::NotPermitted, text, metadata, ErrorDetails::new())
}

fn overloaded() -> Status {
    overloaded_for(fastrand::u32(..RETRY_OVERLOADED_STEPS))
}

/// One status for each time that an overloaded server tells.
pub(crate) fn overloads() -> impl Iterator<Item = Status> {
    (0..RETRY_OVERLOADED_STEPS).map(overloaded_for)
}

fn overloaded_for(step: u32) -> Status {
    let delay = RETRY_OVERLOADED / 2 + RETRY_OVERLOADED * step / (RETRY_OVERLOADED_STEPS - 1);
    let details = ErrorDetails::with_retry_info(Some(delay));
    status(Reason::Overloaded, "too many calls are waiting".to_owned(), vec![], details)
}

/// The status of a call for which a quota leaves no room.
pub(crate) fn quota_exceeded(exceeded: &Exceeded) -> Status {
    let details = ErrorDetails::with_retry_info(Some(exceeded.retry()));
    status(Reason::QuotaExceeded, exceeded.text(), vec![], details)
}

/// One status for each time that a tenant beyond its quota of calls is told at the entrance, in the order
/// of those times.
pub(crate) fn exceeded_calls() -> impl Iterator<Item = (Duration, Status)> {
    RETRY_EXCEEDED_MS.into_iter().map(Duration::from_millis).map(|retry| {
        let exceeded = Exceeded::calls(retry);
        (retry, quota_exceeded(&exceeded))
    })
}

/// The status of a call that the database does not answer.
pub(crate) fn database_unavailable() -> Status {
    retryable(Reason::DatabaseUnavailable, "the database is unavailable", RETRY_DATABASE)
}

/// The status of a call that came when the server was about to end.
pub(crate) fn draining() -> Status {
    retryable(Reason::Draining, "this server is about to end", RETRY_DRAINING)
}

/// The status of a call whose time was up before it had an answer.
pub(crate) fn timed_out() -> Status {
    let text = "the call's deadline passed; its outcome may be unknown".to_owned();
    status(Reason::TimedOut, text, vec![], ErrorDetails::new())
}

/// A status as it stands among the results of a call that goes on: to one heartbeat of many. A fault
/// of ours is logged here, since the call itself does not fail.
pub(crate) fn told(status: &Status) -> tonic_types::Status {
    if let Some(request_id) = request_id(status) {
        tracing::error!(request_id, "one of many heartbeats failed, request {request_id}");
    }
    // The details are such a status in bytes; one without any decodes too, to nothing.
    let details = tonic_types::Status::decode(status.details()).map(|told| told.details);
    tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: details.unwrap_or_default(),
    }
}

/// The status of a listing of events that has no such page.
pub(crate) fn of_list(error: ListError) -> Status {
    let text = error.to_string();
    match error {
        ListError::Pruned { pruned } => events_pruned(text, pruned),
        ListError::Store(error) => of(error),
    }
}

/// The status of a watch that ends or does not begin. Whoever was too slow need not wait before it
/// resumes, so it is told no delay.
pub(crate) fn of_watch(error: WatchError) -> Status {
    let text = error.to_string();
    let (reason, metadata) = match error {
        WatchError::Pruned { pruned } => return events_pruned(text, pruned),
        // What there was of the history is gone for the watcher, and its caller can do the same.
        WatchError::SetBack { last } => return events_pruned(text, last),
        WatchError::TooSlow { last } => {
            (Reason::WatcherTooSlow, ("last_sequence", last.to_string()))
        }
        WatchError::Invalid(field) => return invalid(&field.into()),
        WatchError::Store(error) => return of(error),
    };
    status(reason, text, vec![metadata], ErrorDetails::new())
}

fn events_pruned(text: String, pruned: Sequence) -> Status {
    let metadata = vec![("pruned_sequence", pruned.to_string())];
    status(Reason::EventsPruned, text, metadata, ErrorDetails::new())
}

/// The status of a fault of ours. Outward goes a fixed text and an id; the log has the same id.
pub(crate) fn internal() -> Status {
    let metadata = vec![(REQUEST_ID, format!("{:016x}", fastrand::u64(..)))];
    status(Reason::Internal, "internal error".to_owned(), metadata, ErrorDetails::new())
}

/// The id of a fault of ours, for the log; none of any other status.
pub(crate) fn request_id(status: &Status) -> Option<String> {
    if status.code() != Code::Internal {
        return None;
    }
    let info = status.get_details_error_info()?;
    Some(info.metadata.get(REQUEST_ID).cloned().unwrap_or_default())
}

fn retryable(reason: Reason, text: &str, delay: Duration) -> Status {
    // Not all at the same moment.
    let details = ErrorDetails::with_retry_info(Some(jitter::by_a_tenth(delay)));
    status(reason, text.to_owned(), vec![], details)
}

fn status(
    reason: Reason,
    text: String,
    metadata: Vec<(&str, String)>,
    mut details: ErrorDetails,
) -> Status {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    details.set_error_info(reason.as_str(), ERROR_DOMAIN, metadata);
    Status::with_error_details(reason.code(), text, details)
}

/// Never less than the truth: who comes back after that long is not early.
fn millis_rounded_up(length: Duration) -> String {
    length.as_nanos().div_ceil(1_000_000).to_string()
}

#[cfg(test)]
mod tests;
