//! Heartbeats that are out on the present stream.

use super::hold::HoldId;
use crate::limits::FLIGHT_AGE_MAX;
use std::collections::BTreeMap;
use std::time::Instant;

/// A heartbeat that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) hold: HoldId,
    pub(crate) sent_at: Instant,
    pub(crate) progress_number: u64,
}

/// By tag, and so by age.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    last_tag: u64,
    out: BTreeMap<u64, Flight>,
}

impl Flights {
    /// The tag of the next heartbeat; tags begin with 1 (0 is for pushes).
    pub(crate) fn next_tag(&self) -> u64 {
        self.last_tag + 1
    }

    /// The heartbeat with the next tag is out.
    pub(crate) fn took_off(&mut self, flight: Flight) {
        self.last_tag += 1;
        self.out.insert(self.last_tag, flight);
        while let Some(oldest) = self.out.first_entry() {
            if flight.sent_at.saturating_duration_since(oldest.get().sent_at) <= FLIGHT_AGE_MAX {
                break;
            }
            oldest.remove();
        }
    }

    /// The answer to that tag is here; none if nobody waits for it.
    pub(crate) fn landed(&mut self, tag: u64) -> Option<Flight> {
        self.out.remove(&tag)
    }

    /// When the oldest of those that are out was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.out.first_key_value().map(|(_, flight)| flight.sent_at)
    }

    /// The stream is gone, and with it all answers. Tags go on, so that a late one is none of these.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
    }

    /// Nobody waits for the answers of that claim any more.
    pub(crate) fn forget(&mut self, hold: HoldId) {
        self.out.retain(|_, flight| flight.hold != hold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tags_begin_with_one_and_an_answer_is_taken_once() {
        let mut flights = Flights::default();
        assert_eq!(flights.next_tag(), 1);
        flights.took_off(Flight { hold: 7, sent_at: Instant::now(), progress_number: 0 });
        assert_eq!(flights.next_tag(), 2);
        assert_eq!(flights.landed(1).unwrap().hold, 7);
        assert!(flights.landed(1).is_none());
    }

    #[test]
    fn heartbeats_that_are_never_answered_do_not_pile_up() {
        let mut flights = Flights::default();
        let begin = Instant::now();
        for second in 0..1000 {
            let sent_at = begin + Duration::from_secs(second);
            flights.took_off(Flight { hold: 1, sent_at, progress_number: 0 });
        }
        assert!(flights.out.len() <= 61, "{}", flights.out.len());
    }
}
