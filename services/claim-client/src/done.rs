//! What to report when the work is over.

use crate::limits::ERROR_MESSAGE_BYTES_MAX;
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

    /// The work failed; what went wrong is kept with the claim and the entity. A text of more than
    /// 1024 bytes is cut, and control characters but tab and newline become spaces: it must not be
    /// the reason why the claim is not ended.
    pub fn failed(error_message: impl AsRef<str>) -> Self {
        let kept = |c: char| if c.is_control() && !matches!(c, '\t' | '\n') { ' ' } else { c };
        let mut error_message: String = error_message.as_ref().chars().map(kept).collect();
        error_message.truncate(error_message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
        Self { outcome: v1::DoneOutcome::Failed, error_message, ..Self::default() }
    }

    /// How far a stream was processed; at most 256 streams.
    pub fn ack(mut self, path: impl Into<String>, offset: impl Into<String>) -> Self {
        self.acked_streams.push(v1::AckedStream { path: path.into(), offset: offset.into() });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_made_to_fit() {
        let done = Done::failed("\u{1b}[31mred\r\n\tline\0");
        assert_eq!(done.error_message, " [31mred \n\tline ");
        let long = Done::failed("€".repeat(1000));
        assert_eq!(long.error_message, "€".repeat(341));
    }
}
