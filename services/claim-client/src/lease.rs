//! What a holder knows of its lease, as a pure function of events and instants.
//!
//! The service decides by the database's clock, which the holder cannot see. What it can know is a
//! lower bound: an answer that promises `remaining` was given after its heartbeat was *sent*, so
//! the lease runs at least until `sent + remaining` on the holder's own monotonic clock. Answers
//! may come late and in any order; the one to the heartbeat that was sent last counts. No answer is
//! believed to promise more than the claim's own length of lease: what lies beyond comes from a
//! database clock that stepped back, and goes when it is corrected.
//!
//! ```text
//!                    renewed: sent + remaining - margin > now
//!             ┌──────────────────────────────────────────────────┐
//!             ▼                                                  │
//!        ┌─────────┐   the clock passes the bound less margin  ┌─┴─────────┐
//!  mint ─► writing ├───────────────────────────────────────────► suspended │
//!        └────┬────┘                                           └─────┬─────┘
//!             │         a definite refusal, and nothing else         │
//!             └─────────────────────────┬────────────────────────────┘
//!                                       ▼
//!                                     lost          (after a done of ours: over)
//! ```
//!
//! A heartbeat that fails, or a stream that breaks, moves nothing but the time of the next
//! heartbeat: a transport error is never a loss. A suspended claim goes on being heartbeaten, since
//! the service renews a lapsed claim that nobody has ended (H3).

use crate::limits::{INTERVAL_MIN, LEASE_TTL_MAX, RESEND_MAX};
use crate::refusal::Refusal;
use std::time::{Duration, Instant};

/// What an accepted mint or heartbeat promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// Time from the decision to the end of the lease.
    pub(crate) remaining: Duration,
    /// Suggested time to the next heartbeat.
    pub(crate) interval: Duration,
    /// Time from the decision to the ceiling, if there is one.
    pub(crate) ceiling_remaining: Option<Duration>,
    /// The holder is asked to finish at its next checkpoint.
    pub(crate) stop: bool,
}

/// What can happen to a lease.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A heartbeat was handed to a stream. Unanswered, it is sent again after `patience`.
    Sent {
        /// At most the suggested interval and [`RESEND_MAX`] count.
        patience: Duration,
    },
    /// The heartbeat sent at `sent_at` was accepted.
    Renewed {
        /// When it was handed to the stream.
        sent_at: Instant,
        /// What the answer promised.
        renewal: Renewal,
    },
    /// The heartbeat sent at `sent_at` was answered by a failure, which says nothing of the claim.
    Failed {
        /// When it was handed to the stream.
        sent_at: Instant,
        /// How long to wait before the next.
        pause: Duration,
    },
    /// A heartbeat was refused.
    Refused(Refusal),
    /// Something calls for a heartbeat now: a new stream, on which the claim was not heard of, or a
    /// push that there is news.
    Hail,
    /// A done was sent: that the claim is found released or failed is no loss any more.
    DoneSent,
    /// The done was given up; its outcome may be unknown.
    DoneGivenUp,
}

/// Whether the holder still holds the claim, as far as it can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has said otherwise.
    Holding,
    /// The service said so, definitely.
    Lost(Refusal),
    /// Ended by the holder's own done.
    Over,
}

/// A lease as its holder knows it.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// The claim's own length of lease: no answer is believed to promise more.
    ttl: Duration,
    /// How long before the bound writing is suspended.
    margin: Duration,
    /// Before this writing is allowed: the bound, less the margin.
    write_until: Instant,
    /// When the heartbeat was sent that gave the bound.
    renewed_by: Instant,
    /// The suggested interval of the last answer.
    interval: Duration,
    /// The earliest moment at which the ceiling may be reached.
    ceiling_at: Option<Instant>,
    /// When the last heartbeat, or the mint, was sent.
    sent_at: Instant,
    /// Whether a heartbeat was ever sent; before the first a new stream has nothing to tell.
    has_beaten: bool,
    /// When the next heartbeat is due.
    next_beat_at: Instant,
    /// The holder is asked to finish at its next checkpoint.
    is_stop_requested: bool,
    done_sent: bool,
    standing: Standing,
}

impl Lease {
    /// The lease of an accepted mint that was sent at `sent_at`. Its first heartbeat is due no later
    /// than `first_beat_after` from then.
    pub(crate) fn minted(
        sent_at: Instant,
        ttl: Duration,
        margin_percent: u32,
        first_beat_after: Duration,
        minted: &Renewal,
    ) -> Self {
        let ttl = ttl.min(LEASE_TTL_MAX);
        let mut lease = Self {
            ttl,
            margin: ttl * margin_percent / 100,
            write_until: sent_at,
            renewed_by: sent_at,
            interval: minted.interval,
            ceiling_at: None,
            sent_at,
            has_beaten: false,
            next_beat_at: sent_at,
            is_stop_requested: false,
            done_sent: false,
            standing: Standing::Holding,
        };
        lease.renew(sent_at, minted);
        lease.next_beat_at = lease.next_beat_at.min(sent_at + first_beat_after);
        lease
    }

    /// Takes note of what happened at `now`.
    pub(crate) fn apply(&mut self, event: Event, now: Instant) {
        if self.standing != Standing::Holding {
            // What was definite stays so, whatever still arrives.
            return;
        }
        match event {
            Event::Sent { patience } => {
                self.sent_at = now;
                self.has_beaten = true;
                self.next_beat_at = now + patience.min(self.patience());
            }
            Event::Renewed { sent_at, renewal } => self.renew(sent_at, &renewal),
            Event::Failed { sent_at, pause } => {
                // If another one has been sent meanwhile, that one's answer is awaited.
                if sent_at == self.sent_at {
                    // A short lease cannot wait as long as a server may ask for.
                    let pause = pause.min(self.patience());
                    self.next_beat_at = (now + pause).min(sent_at + RESEND_MAX).max(now);
                }
            }
            Event::Refused(refusal) => self.refuse(refusal),
            Event::Hail => {
                if self.has_beaten {
                    self.next_beat_at = self.next_beat_at.min(now);
                }
            }
            Event::DoneSent => self.done_sent = true,
            Event::DoneGivenUp => self.done_sent = false,
        }
    }

    fn renew(&mut self, sent_at: Instant, renewal: &Renewal) {
        if sent_at < self.renewed_by {
            return;
        }
        let remaining = renewal.remaining.min(self.ttl);
        self.write_until = sent_at + remaining.saturating_sub(self.margin);
        self.renewed_by = sent_at;
        self.is_stop_requested = renewal.stop;
        if let Some(remaining) = renewal.ceiling_remaining {
            self.ceiling_at = sent_at.checked_add(remaining);
        }
        if sent_at < self.sent_at {
            // A later one is out; it is sent again in its own time.
            return;
        }
        self.interval = renewal.interval.min(self.ttl / 2).max(INTERVAL_MIN);
        self.next_beat_at = sent_at + self.interval;
        if let Some(ceiling_at) = self.ceiling_at {
            // At the ceiling there is news, and no later than then it is asked for.
            self.next_beat_at = self.next_beat_at.min(ceiling_at.max(sent_at + INTERVAL_MIN));
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let by_our_done = self.done_sent
            && matches!(refusal, Refusal::ClaimReleased(_) | Refusal::ClaimFailed(_));
        if by_our_done {
            self.standing = Standing::Over;
        } else if refusal.is_loss() {
            self.standing = Standing::Lost(refusal);
        }
    }

    /// How long an unanswered heartbeat is waited for at most. A short lease cannot wait long.
    pub(crate) fn patience(&self) -> Duration {
        self.interval.min(RESEND_MAX)
    }

    /// Before this instant writing is allowed, if the claim is held.
    pub(crate) fn write_until(&self) -> Instant {
        self.write_until
    }

    /// Whether writing is allowed.
    pub(crate) fn may_write(&self, now: Instant) -> bool {
        self.standing == Standing::Holding && now < self.write_until
    }

    /// Whether the claim is still held, as far as one can know.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether the holder is asked to finish at its next checkpoint.
    pub(crate) fn is_stop_requested(&self) -> bool {
        self.is_stop_requested
    }

    /// Whether a heartbeat is to be sent.
    pub(crate) fn is_beat_due(&self, now: Instant) -> bool {
        self.standing == Standing::Holding && now >= self.next_beat_at
    }

    /// When the next heartbeat is due.
    pub(crate) fn next_beat_at(&self) -> Instant {
        self.next_beat_at
    }

    /// The next instant at which something changes by itself: the suspension of writing, or a
    /// heartbeat that falls due. A heartbeat that is due already is not counted.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        if self.standing != Standing::Holding {
            return None;
        }
        [self.write_until, self.next_beat_at].into_iter().filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
