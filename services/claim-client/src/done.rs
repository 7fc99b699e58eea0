//! What to report when the work is over.

use claim_proto::v1;

/// The report that ends a claim.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Done {
    pub(crate) outcome: v1::DoneOutcome,
    pub(crate) error_message: String,
    pub(crate) acked_streams: Vec<v1::AckedStream>,
}

impl Done {
    /// The work is complete.
    pub fn completed() -> Self {
        Self { outcome: v1::DoneOutcome::Completed, ..Self::default() }
    }

    /// The work failed; what went wrong is kept with the claim and the entity, at most 1024 bytes.
    pub fn failed(error_message: impl Into<String>) -> Self {
        let error_message = error_message.into();
        Self { outcome: v1::DoneOutcome::Failed, error_message, ..Self::default() }
    }

    /// How far a stream was processed; at most 256 streams.
    pub fn ack(mut self, path: impl Into<String>, offset: impl Into<String>) -> Self {
        self.acked_streams.push(v1::AckedStream { path: path.into(), offset: offset.into() });
        self
    }
}
