//! What a refusal says, by which callers act: code, reason, metadata, and what goes with them.

use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

/// A refusal, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The fields of a `BadRequest`, in its order.
    pub(crate) fields: Vec<String>,
    /// The delay of a `RetryInfo`.
    pub(crate) retry: Option<Duration>,
}

impl Refusal {
    /// Takes a status apart; panics unless it has exactly one `ErrorInfo` of this service, a text,
    /// and no details of other kinds than the contract names.
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.check_error_details_vec();
        let details = details.unwrap_or_else(|error| panic!("{status:?}: {error}"));
        let mut refusal = Self {
            code: status.code(),
            reason: String::new(),
            metadata: BTreeMap::new(),
            fields: vec![],
            retry: None,
        };
        let (mut infos, mut bad_requests, mut retries) = (0, 0, 0);
        for detail in details {
            match detail {
                ErrorDetail::ErrorInfo(info) => {
                    infos += 1;
                    assert_eq!(info.domain, "claim.v1");
                    refusal.reason = info.reason;
                    refusal.metadata = info.metadata.into_iter().collect();
                }
                ErrorDetail::BadRequest(bad) => {
                    bad_requests += 1;
                    for violation in bad.field_violations {
                        assert!(!violation.description.is_empty(), "{status:?}");
                        refusal.fields.push(violation.field);
                    }
                }
                ErrorDetail::RetryInfo(retry) => {
                    retries += 1;
                    refusal.retry = retry.retry_delay;
                }
                other => panic!("a detail that the contract does not name: {other:?}"),
            }
        }
        assert_eq!(infos, 1, "exactly one ErrorInfo: {status:?}");
        assert!(bad_requests <= 1 && retries <= 1, "{status:?}");
        assert!(!status.message().is_empty(), "a text for people: {status:?}");
        refusal
    }

    /// Code and reason.
    pub(crate) fn kind(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }

    /// The keys of the metadata.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.metadata.keys().map(String::as_str).collect()
    }
}
