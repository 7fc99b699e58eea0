//! What the keeper makes of what a stream brings.

use super::Keeper;
use super::flights::Flight;
use super::hold::{Hold, HoldId};
use super::link::News;
use crate::lease::Event;
use crate::retry::chance;
use crate::verdict::Verdict;
use crate::wire;
use claim_proto::v1::keep_alive_response::Result as Answer;
use claim_proto::v1::{HeartbeatResponse, KeepAliveResponse};
use std::time::Instant;

impl Keeper {
    /// Hears an answer, a push, or the end of a stream.
    pub(super) fn hear(&mut self, news: News, now: Instant) {
        let present = self.link.as_ref().map(|link| link.number);
        match news {
            News::Answer(number, answer) if Some(number) == present => {
                if let Some(link) = &mut self.link {
                    link.heard_at = now;
                }
                self.hear_answer(*answer, now);
            }
            News::Ended(number, status) if Some(number) == present => {
                let verdict = status.map_or_else(Verdict::no_answer, |s| Verdict::of(&s));
                self.lose_link(&verdict, now);
            }
            // Of a stream that was given up; its heartbeats have been sent anew.
            News::Answer(..) | News::Ended(..) => {}
        }
    }

    fn hear_answer(&mut self, answer: KeepAliveResponse, now: Instant) {
        let KeepAliveResponse { tag, consumer_id, epoch, result } = answer;
        if tag == 0 {
            return self.hear_push(&consumer_id, epoch, now);
        }
        let Some(flight) = self.flights.landed(tag) else {
            return;
        };
        let Some(hold) = self.holds.get(&flight.hold) else {
            return;
        };
        if !hold.is_of(&consumer_id, epoch) {
            tracing::error!("an answer to a heartbeat is about another claim; it is ignored");
            return;
        }
        match result {
            Some(Answer::Response(response)) => self.hear_renewal(flight, &response, now),
            Some(Answer::Error(status)) => self.hear_no(flight, Verdict::of_item(&status), now),
            None => self.hear_no(flight, Verdict::no_answer(), now),
        }
    }

    fn hear_renewal(&mut self, flight: Flight, response: &HeartbeatResponse, now: Instant) {
        let Some(renewal) = wire::renewed(response) else {
            return self.hear_no(flight, Verdict::no_answer(), now);
        };
        self.link_works();
        if let Some(hold) = self.holds.get(&flight.hold) {
            hold.progress_arrived(flight.progress_number);
        }
        self.apply(flight.hold, Event::Renewed { sent_at: flight.sent_at, renewal }, now);
    }

    fn hear_no(&mut self, flight: Flight, verdict: Verdict, now: Instant) {
        let Some(hold) = self.holds.get_mut(&flight.hold) else {
            return;
        };
        let event = match verdict {
            Verdict::Refused(refusal) if refusal.is_loss() => {
                self.link_works();
                Event::Refused(refusal)
            }
            // About the caller and not the claim: it may be mended, and the lease not yet over.
            Verdict::Refused(refusal) => {
                let pause = hold.backoff().pause(chance());
                hold.log_failure(&refusal, pause);
                Event::Failed { sent_at: flight.sent_at, pause }
            }
            Verdict::Again(failure) | Verdict::Failed(failure) => {
                let pause = hold.backoff().again(&failure, chance());
                hold.log_failure(&failure, pause);
                Event::Failed { sent_at: flight.sent_at, pause }
            }
        };
        self.apply(flight.hold, event, now);
    }

    /// An answer that was decided: what follows a failure now is the first one again.
    fn link_works(&mut self) {
        if self.backoff.failures() > 0 {
            tracing::info!("heartbeats are answered again");
            self.backoff.reset();
        }
    }

    /// A push names consumer and epoch, but neither tenant nor token, so it may be about a claim of
    /// another tenant that this process held a moment ago. Whoever may be meant asks for itself: the
    /// answer to a heartbeat is about one claim.
    fn hear_push(&mut self, consumer_id: &str, epoch: i64, now: Instant) {
        let meant = |(_, hold): &(&HoldId, &Hold)| hold.is_of(consumer_id, epoch);
        let meant: Vec<HoldId> = self.holds.iter().filter(meant).map(|(id, _)| *id).collect();
        for id in meant {
            self.apply(id, Event::Hail, now);
        }
    }
}
