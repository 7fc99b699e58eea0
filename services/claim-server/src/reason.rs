//! The reasons of `google.rpc.ErrorInfo` and the code that goes with each: the table of errors
//! that clients act on. Names and codes never change.

use tonic::Code;

/// Why a call has no good answer, as clients know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    InvalidField,
    ClaimNotFound,
    EntityNotFound,
    AlreadyClaimed,
    IdentityInUse,
    EpochFenced,
    EntityNotClaimable,
    EntityTerminal,
    SignalNotApplicable,
    ClaimSuperseded,
    ClaimReleased,
    ClaimFailed,
    ClaimExpired,
    ClaimRevoked,
    CeilingReached,
    LeaseLapsed,
    WriteTokenInvalid,
    Unauthenticated,
    NotPermitted,
    QuotaExceeded,
    Overloaded,
    DatabaseUnavailable,
    Draining,
    TimedOut,
    EventsPruned,
    WatcherTooSlow,
    Internal,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Self; 27] = [
        Self::InvalidField,
        Self::ClaimNotFound,
        Self::EntityNotFound,
        Self::AlreadyClaimed,
        Self::IdentityInUse,
        Self::EpochFenced,
        Self::EntityNotClaimable,
        Self::EntityTerminal,
        Self::SignalNotApplicable,
        Self::ClaimSuperseded,
        Self::ClaimReleased,
        Self::ClaimFailed,
        Self::ClaimExpired,
        Self::ClaimRevoked,
        Self::CeilingReached,
        Self::LeaseLapsed,
        Self::WriteTokenInvalid,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::QuotaExceeded,
        Self::Overloaded,
        Self::DatabaseUnavailable,
        Self::Draining,
        Self::TimedOut,
        Self::EventsPruned,
        Self::WatcherTooSlow,
        Self::Internal,
    ];

    /// The reason of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidField => "INVALID_FIELD",
            Self::ClaimNotFound => "CLAIM_NOT_FOUND",
            Self::EntityNotFound => "ENTITY_NOT_FOUND",
            Self::AlreadyClaimed => "ALREADY_CLAIMED",
            Self::IdentityInUse => "IDENTITY_IN_USE",
            Self::EpochFenced => "EPOCH_FENCED",
            Self::EntityNotClaimable => "ENTITY_NOT_CLAIMABLE",
            Self::EntityTerminal => "ENTITY_TERMINAL",
            Self::SignalNotApplicable => "SIGNAL_NOT_APPLICABLE",
            Self::ClaimSuperseded => "CLAIM_SUPERSEDED",
            Self::ClaimReleased => "CLAIM_RELEASED",
            Self::ClaimFailed => "CLAIM_FAILED",
            Self::ClaimExpired => "CLAIM_EXPIRED",
            Self::ClaimRevoked => "CLAIM_REVOKED",
            Self::CeilingReached => "CEILING_REACHED",
            Self::LeaseLapsed => "LEASE_LAPSED",
            Self::WriteTokenInvalid => "WRITE_TOKEN_INVALID",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::Overloaded => "OVERLOADED",
            Self::DatabaseUnavailable => "DATABASE_UNAVAILABLE",
            Self::Draining => "DRAINING",
            Self::TimedOut => "TIMED_OUT",
            Self::EventsPruned => "EVENTS_PRUNED",
            Self::WatcherTooSlow => "WATCHER_TOO_SLOW",
            Self::Internal => "INTERNAL",
        }
    }

    /// The code that the reason comes with.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::InvalidField => Code::InvalidArgument,
            Self::ClaimNotFound | Self::EntityNotFound => Code::NotFound,
            Self::AlreadyClaimed | Self::IdentityInUse => Code::AlreadyExists,
            Self::EpochFenced
            | Self::EntityNotClaimable
            | Self::EntityTerminal
            | Self::SignalNotApplicable
            | Self::ClaimSuperseded
            | Self::ClaimReleased
            | Self::ClaimFailed
            | Self::ClaimExpired
            | Self::ClaimRevoked
            | Self::CeilingReached
            | Self::LeaseLapsed => Code::FailedPrecondition,
            Self::WriteTokenInvalid | Self::NotPermitted => Code::PermissionDenied,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::QuotaExceeded | Self::Overloaded | Self::WatcherTooSlow => {
                Code::ResourceExhausted
            }
            Self::DatabaseUnavailable | Self::Draining => Code::Unavailable,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::EventsPruned => Code::OutOfRange,
            Self::Internal => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_is_found_by_its_name_and_nothing_else_is() {
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.as_str()), Some(reason));
        }
        let names: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for name in ["", "invalid_field", "MADE_UP"] {
            assert_eq!(Reason::named(name), None);
        }
    }
}
