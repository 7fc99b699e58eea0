//! From a status to what is to be done about it, by code and reason alone.

use crate::error::Failure;
use crate::limits::RETRY_AFTER_MAX;
use crate::refusal::Refusal;
use claim_proto::ERROR_DOMAIN;
use std::error::Error;
use std::fmt;
use tonic::{Code, TimeoutExpired};
use tonic_types::{ErrorDetails, ErrorInfo, RpcStatusExt, StatusExt};

/// What a status that is not OK means.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// A definite no.
    Refused(Refusal),
    /// Ask again, elsewhere or later.
    Again(Failure),
    /// Neither.
    Failed(Failure),
}

impl Verdict {
    /// Of a call, or of the end of a stream.
    pub(crate) fn of(status: &tonic::Status) -> Self {
        // Only a status that was made on this side has a source: the time was up, or the connection
        // broke, and the library chose some code to say so.
        let code = match status.source() {
            Some(source) if is_timeout(source) => Code::DeadlineExceeded,
            Some(_) => Code::Unavailable,
            None => status.code(),
        };
        Self::judge(code, status.message(), &status.get_error_details())
    }

    /// Of one answer on a stream.
    pub(crate) fn of_item(status: &tonic_types::Status) -> Self {
        Self::judge(Code::from(status.code), &status.message, &status.get_error_details())
    }

    /// Of a call that had no answer in time.
    pub(crate) fn no_answer() -> Self {
        Self::Again(Failure {
            code: Code::DeadlineExceeded,
            reason: None,
            request_id: None,
            retry_after: None,
            text: "no answer in time".to_owned(),
        })
    }

    fn judge(code: Code, text: &str, details: &ErrorDetails) -> Self {
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        let retry_after = retry_after.map(|asked| asked.min(RETRY_AFTER_MAX));
        let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN);
        let failure = Failure {
            code,
            reason: info.map(|info| info.reason.clone()),
            request_id: info.and_then(request_id),
            retry_after,
            text: text.to_owned(),
        };
        match code {
            Code::Unavailable | Code::DeadlineExceeded => Self::Again(failure),
            // An answer that was cut short has no status, and the library chooses this one.
            Code::Unknown if info.is_none() => Self::Again(failure),
            // Without a RetryInfo it is a message that is too large, or a watcher too slow.
            Code::ResourceExhausted if retry_after.is_some() => Self::Again(failure),
            _ => match Refusal::of(code, details) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Failed(failure),
            },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Again(failure) | Self::Failed(failure) => failure.fmt(f),
        }
    }
}

fn request_id(info: &ErrorInfo) -> Option<String> {
    info.metadata.get("request_id").cloned()
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.is::<TimeoutExpired>() || error.source().is_some_and(is_timeout)
}

#[cfg(test)]
mod tests;
