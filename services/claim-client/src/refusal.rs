//! The expected noes of the service, by the reason of their `ErrorInfo`. Their text is never looked
//! at.

use claim_proto::ERROR_DOMAIN;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use tonic::Code;
use tonic_types::{ErrorDetails, FieldViolation};

/// A definite no. Asking again would give the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `INVALID_FIELD`: the request has to be corrected.
    InvalidField(Vec<InvalidField>),
    /// `CLAIM_NOT_FOUND`: there is no such claim.
    ClaimNotFound,
    /// `ENTITY_NOT_FOUND`: no mint or signal has ever named the entity.
    EntityNotFound,
    /// `ALREADY_CLAIMED`: another caller holds the entity.
    AlreadyClaimed {
        /// Who holds it.
        holder_consumer_id: String,
        /// The epoch of the holder's claim.
        holder_epoch: i64,
        /// When it may be taken over at the earliest, if its holder stays silent.
        takeable_in: Duration,
    },
    /// `IDENTITY_IN_USE`: the identity belongs to a claim of another entity, stream or authority.
    IdentityInUse {
        /// The entity of that claim.
        entity_url: String,
    },
    /// `EPOCH_FENCED`: the epoch is not above the highest ever accepted; the caller is stale.
    EpochFenced {
        /// The highest epoch accepted so far.
        highest_epoch: i64,
    },
    /// `ENTITY_NOT_CLAIMABLE`: the entity is paused, stopping, stopped or killed.
    EntityNotClaimable {
        /// `paused`, `stopping`, `stopped` or `killed`.
        entity_state: String,
    },
    /// `CLAIM_SUPERSEDED`: a newer claim took over. Stop working, then report done.
    ClaimSuperseded {
        /// Consumer of the newer claim.
        by_consumer_id: String,
        /// Epoch of the newer claim.
        by_epoch: i64,
    },
    /// `CLAIM_RELEASED`: the claim was reported done.
    ClaimReleased(Ending),
    /// `CLAIM_FAILED`: the claim was reported failed.
    ClaimFailed(Ending),
    /// `CLAIM_EXPIRED`: the lease lapsed, and the reaper or a newer mint ended the claim.
    ClaimExpired(Ending),
    /// `CLAIM_REVOKED`: an operator ended the claim.
    ClaimRevoked(Ending),
    /// `CEILING_REACHED`: the claim is as old as it may become. Stop working, then report done.
    CeilingReached,
    /// `LEASE_LAPSED`: the write token is right, but its lease has lapsed. A heartbeat renews it.
    LeaseLapsed,
    /// `WRITE_TOKEN_INVALID`: the token is not, or no longer, the right one.
    WriteTokenInvalid,
    /// `EVENTS_PRUNED`: events behind the position have been removed. List the present state, then
    /// watch from now on.
    EventsPruned {
        /// The highest sequence that was removed.
        pruned_sequence: i64,
    },
    /// `WATCHER_TOO_SLOW`: the watcher did not keep up with the events. It can resume.
    WatcherTooSlow,
    /// `NOT_PERMITTED`: the caller lacks a permission.
    NotPermitted {
        /// The permission.
        permission: String,
    },
    /// `UNAUTHENTICATED`: credentials are missing or unknown.
    Unauthenticated,
    /// A reason that this client does not know, from a newer server.
    Other {
        /// The code of the answer.
        code: Code,
        /// The reason.
        reason: String,
        /// What came with it.
        metadata: HashMap<String, String>,
    },
}

/// How a claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When, in RFC 3339 and UTC, by the database's clock.
    pub time: String,
    /// Why: `done`, `failed`, `lease_lapsed`, `ceiling_reached`, `killed` or an operator's words.
    pub reason: String,
}

/// One field of a request that is outside its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path within the request.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Refusal {
    /// Whether a heartbeat refused so means that the claim is lost. No other error ever does.
    pub(crate) fn is_loss(&self) -> bool {
        match self {
            Self::ClaimNotFound
            | Self::ClaimSuperseded { .. }
            | Self::ClaimReleased(_)
            | Self::ClaimFailed(_)
            | Self::ClaimExpired(_)
            | Self::ClaimRevoked(_)
            | Self::CeilingReached
            | Self::WriteTokenInvalid => true,
            // These are about the caller, the request or another call.
            Self::InvalidField(_)
            | Self::EntityNotFound
            | Self::AlreadyClaimed { .. }
            | Self::IdentityInUse { .. }
            | Self::EpochFenced { .. }
            | Self::EntityNotClaimable { .. }
            | Self::LeaseLapsed
            | Self::EventsPruned { .. }
            | Self::WatcherTooSlow
            | Self::NotPermitted { .. }
            | Self::Unauthenticated
            | Self::Other { .. } => false,
        }
    }

    /// The refusal that a status tells; none if its reason is unknown or is no definite no.
    pub(crate) fn of(code: Code, details: &ErrorDetails) -> Option<Self> {
        let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
        let metadata = Metadata(&info.metadata);
        let (expected, refusal) = match info.reason.as_str() {
            "INVALID_FIELD" => (Code::InvalidArgument, Self::InvalidField(violations(details))),
            "CLAIM_NOT_FOUND" => (Code::NotFound, Self::ClaimNotFound),
            "ENTITY_NOT_FOUND" => (Code::NotFound, Self::EntityNotFound),
            "ALREADY_CLAIMED" => (
                Code::AlreadyExists,
                Self::AlreadyClaimed {
                    holder_consumer_id: metadata.text("holder_consumer_id"),
                    holder_epoch: metadata.number("holder_epoch"),
                    takeable_in: metadata.millis("takeable_in_ms"),
                },
            ),
            "IDENTITY_IN_USE" => (
                Code::AlreadyExists,
                Self::IdentityInUse { entity_url: metadata.text("entity_url") },
            ),
            "EPOCH_FENCED" => (
                Code::FailedPrecondition,
                Self::EpochFenced { highest_epoch: metadata.number("highest_epoch") },
            ),
            "ENTITY_NOT_CLAIMABLE" => (
                Code::FailedPrecondition,
                Self::EntityNotClaimable { entity_state: metadata.text("entity_state") },
            ),
            "CLAIM_SUPERSEDED" => (
                Code::FailedPrecondition,
                Self::ClaimSuperseded {
                    by_consumer_id: metadata.text("superseded_by_consumer_id"),
                    by_epoch: metadata.number("superseded_by_epoch"),
                },
            ),
            "CLAIM_RELEASED" => (Code::FailedPrecondition, Self::ClaimReleased(metadata.ending())),
            "CLAIM_FAILED" => (Code::FailedPrecondition, Self::ClaimFailed(metadata.ending())),
            "CLAIM_EXPIRED" => (Code::FailedPrecondition, Self::ClaimExpired(metadata.ending())),
            "CLAIM_REVOKED" => (Code::FailedPrecondition, Self::ClaimRevoked(metadata.ending())),
            "CEILING_REACHED" => (Code::FailedPrecondition, Self::CeilingReached),
            "LEASE_LAPSED" => (Code::FailedPrecondition, Self::LeaseLapsed),
            "WRITE_TOKEN_INVALID" => (Code::PermissionDenied, Self::WriteTokenInvalid),
            "EVENTS_PRUNED" => (
                Code::OutOfRange,
                Self::EventsPruned { pruned_sequence: metadata.number("pruned_sequence") },
            ),
            "WATCHER_TOO_SLOW" => (Code::ResourceExhausted, Self::WatcherTooSlow),
            "NOT_PERMITTED" => (
                Code::PermissionDenied,
                Self::NotPermitted { permission: metadata.text("permission") },
            ),
            "UNAUTHENTICATED" => (Code::Unauthenticated, Self::Unauthenticated),
            // A fault of the service is no answer to the question.
            "INTERNAL" | "UNIMPLEMENTED" => return None,
            other => {
                let (reason, metadata) = (other.to_owned(), info.metadata.clone());
                return Some(Self::Other { code, reason, metadata });
            }
        };
        // Code and reason must agree: what is definite must not hang on half a message.
        (code == expected).then_some(refusal)
    }
}

fn violations(details: &ErrorDetails) -> Vec<InvalidField> {
    let of = |violation: &FieldViolation| InvalidField {
        field: violation.field.clone(),
        problem: violation.description.clone(),
    };
    details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(of).collect())
        .unwrap_or_default()
}

/// The metadata of an `ErrorInfo`. A missing key reads as nothing: the reason is what counts.
struct Metadata<'a>(&'a HashMap<String, String>);

impl Metadata<'_> {
    fn text(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn number(&self, key: &str) -> i64 {
        self.0.get(key).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(self.0.get(key).and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn ending(&self) -> Ending {
        Ending { time: self.text("end_time"), reason: self.text("end_reason") }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidField(fields) => {
                f.write_str("invalid fields:")?;
                fields.iter().try_for_each(|InvalidField { field, problem }| {
                    write!(f, " {field}: {problem};")
                })
            }
            Self::ClaimNotFound => f.write_str("there is no such claim"),
            Self::EntityNotFound => f.write_str("there is no such entity"),
            Self::AlreadyClaimed { holder_consumer_id, holder_epoch, takeable_in } => write!(
                f,
                "the entity is claimed by {holder_consumer_id}, epoch {holder_epoch}, \
                 for another {takeable_in:?}"
            ),
            Self::IdentityInUse { entity_url } => {
                write!(f, "the identity belongs to another claim, of {entity_url}")
            }
            Self::EpochFenced { highest_epoch } => {
                write!(f, "the epoch is not above {highest_epoch}")
            }
            Self::EntityNotClaimable { entity_state } => write!(f, "the entity is {entity_state}"),
            Self::ClaimSuperseded { by_consumer_id, by_epoch } => {
                write!(f, "the claim was superseded by {by_consumer_id}, epoch {by_epoch}")
            }
            Self::ClaimReleased(ending) => write!(f, "the claim was released {ending}"),
            Self::ClaimFailed(ending) => write!(f, "the claim was reported failed {ending}"),
            Self::ClaimExpired(ending) => write!(f, "the claim was expired {ending}"),
            Self::ClaimRevoked(ending) => write!(f, "the claim was revoked {ending}"),
            Self::CeilingReached => f.write_str("the claim has reached its ceiling"),
            Self::LeaseLapsed => f.write_str("the lease has lapsed"),
            Self::WriteTokenInvalid => f.write_str("the write token is not valid"),
            Self::EventsPruned { pruned_sequence } => {
                write!(f, "events up to {pruned_sequence} have been removed")
            }
            Self::WatcherTooSlow => f.write_str("the watcher does not keep up with the events"),
            Self::NotPermitted { permission } => {
                write!(f, "the permission {permission} is missing")
            }
            Self::Unauthenticated => f.write_str("credentials are missing or unknown"),
            Self::Other { code, reason, .. } => write!(f, "{code:?}, {reason}"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ({})", self.time, self.reason)
    }
}
