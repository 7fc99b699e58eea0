//! What a call can end with other than its answer.

use crate::refusal::Refusal;
use std::fmt;
use std::time::Duration;
use tonic::Code;

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A definite no.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Nobody answered within the call's deadline, or in time for it. The outcome may be unknown;
    /// the call may be repeated with the same arguments.
    #[error("no answer after {attempts} attempts, the last one: {last}")]
    Unavailable {
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt ended with.
        last: Failure,
    },
    /// An answer that is neither a good one nor a refusal that this client knows; a repetition would
    /// not help.
    #[error("the call failed: {0}")]
    Failed(Failure),
    /// The answer lacks what the contract promises.
    #[error("the answer has no {0}")]
    Incomplete(&'static str),
    /// A value that the service would refuse; nothing was sent.
    #[error("{field} {problem}")]
    InvalidValue {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The operating system has no randomness for a request id.
    #[error("a request id cannot be drawn")]
    NoRandomness,
    /// The thread that carries all calls has ended.
    #[error("the client has ended")]
    Ended,
}

impl Error {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// One attempt that was not answered well. It says nothing about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC code; UNAVAILABLE for a broken connection, DEADLINE_EXCEEDED for no answer.
    pub code: Code,
    /// The reason, if the service gave one: `DRAINING`, `DATABASE_UNAVAILABLE`, `INTERNAL` ….
    pub reason: Option<String>,
    /// By what the service's log knows the call; with the reason `INTERNAL`.
    pub request_id: Option<String>,
    /// When the service asks to come back, if it does.
    pub retry_after: Option<Duration>,
    /// For people; nothing acts on it.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, reason, request_id, retry_after: _, text } = self;
        write!(f, "{code:?}")?;
        if let Some(reason) = reason {
            write!(f, ", {reason}")?;
        }
        if let Some(request_id) = request_id {
            write!(f, ", request {request_id}")?;
        }
        if text.is_empty() { Ok(()) } else { write!(f, ": {text}") }
    }
}
