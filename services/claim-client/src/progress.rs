//! The note of how far the work has come, on its way from the work to the service.
//!
//! Only the latest one counts, so there is a place for one and not a queue: work that notes more
//! often than it is heartbeaten piles nothing up.

use crate::error::Error;
use crate::limits::PROGRESS_BYTES_MAX;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The place.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    /// None once it has arrived, and before there is any.
    note: Option<String>,
    /// How many there were.
    number: u64,
}

impl Progress {
    /// Puts a note in the place of the one before.
    pub(crate) fn set(&self, note: String) -> Result<(), Error> {
        let problem = if note.len() > PROGRESS_BYTES_MAX {
            "is longer than 256 bytes"
        } else if note.chars().any(|c| c.is_control() && c != '\t' && c != '\n') {
            "has control characters other than tab and newline"
        } else {
            let mut latest = self.latest();
            latest.note = Some(note);
            latest.number += 1;
            return Ok(());
        };
        Err(Error::InvalidValue { field: "progress", problem })
    }

    /// What a heartbeat carries that is sent now, and the note's number.
    pub(crate) fn to_send(&self) -> (Option<String>, u64) {
        let latest = self.latest();
        (latest.note.clone(), latest.number)
    }

    /// The note of that number has arrived. If there is a later one, that is still to be sent.
    pub(crate) fn arrived(&self, number: u64) {
        let mut latest = self.latest();
        if latest.number == number {
            latest.note = None;
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_sent_until_it_has_arrived_and_a_later_one_is_not_lost_by_that() {
        let progress = Progress::default();
        assert_eq!(progress.to_send().0, None);
        progress.set("one".into()).unwrap();
        let (note, first) = progress.to_send();
        assert_eq!(note.as_deref(), Some("one"));
        progress.set("two".into()).unwrap();
        progress.arrived(first);
        let (note, second) = progress.to_send();
        assert_eq!(note.as_deref(), Some("two"));
        progress.arrived(second);
        assert_eq!(progress.to_send().0, None);
    }

    #[test]
    fn a_note_that_the_service_would_refuse_is_refused_here() {
        for note in ["x".repeat(257), "bell \u{7}".to_owned()] {
            Progress::default().set(note).unwrap_err();
        }
        Progress::default().set("a\tb\nc".to_owned()).unwrap();
        Progress::default().set("x".repeat(256)).unwrap();
    }
}
