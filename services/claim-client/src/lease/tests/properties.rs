//! Any course of events, against a model that knows nothing but which heartbeats were acknowledged.

use super::*;
use proptest::prelude::*;

/// A step of a course: time passes, then something happens.
#[derive(Clone, Debug)]
enum Step {
    Send {
        patience_ms: u64,
    },
    /// The answer to the heartbeat that was sent so many sends ago.
    Renew {
        ago: usize,
        remaining_ms: u64,
        interval_ms: u64,
        stop: bool,
    },
    Fail {
        ago: usize,
        pause_ms: u64,
    },
    Hail,
    DoneSent,
    DoneGivenUp,
    /// Refused for a reason that is no loss.
    Disturb,
    Refuse(Refusal),
}

fn definite() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Refusal::CeilingReached),
        Just(Refusal::ClaimExpired(ended())),
        Just(Refusal::ClaimReleased(ended())),
        Just(Refusal::WriteTokenInvalid),
    ]
    .prop_map(Step::Refuse)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..10_000).prop_map(|patience_ms| Step::Send { patience_ms }),
        8 => (0_usize..4, 0_u64..700_000, 0_u64..300_000, any::<bool>()).prop_map(
            |(ago, remaining_ms, interval_ms, stop)| {
                Step::Renew { ago, remaining_ms, interval_ms, stop }
            }
        ),
        6 => (0_usize..4, 0_u64..60_000).prop_map(|(ago, pause_ms)| Step::Fail { ago, pause_ms }),
        2 => Just(Step::Hail),
        1 => Just(Step::DoneSent),
        1 => Just(Step::DoneGivenUp),
        1 => Just(Step::Disturb),
        1 => definite(),
    ]
}

/// What the outside world would know.
struct Model {
    lease: Lease,
    margin: Duration,
    /// When each heartbeat was sent; the mint is the first.
    sent: Vec<Instant>,
    /// Which heartbeats were acknowledged, and up to when their leases run, in order of arrival.
    acknowledged: Vec<(Instant, Instant)>,
    /// The last heartbeat has neither been acknowledged nor definitely refused.
    is_out: bool,
    refused: bool,
}

impl Model {
    fn start(now: Instant, ttl: Duration, margin_percent: u32) -> Self {
        let first =
            Renewal { remaining: ttl, interval: ttl / 3, ceiling_remaining: None, stop: false };
        Self {
            lease: Lease::minted(now, ttl, margin_percent, ttl, &first),
            margin: ttl * margin_percent / 100,
            sent: vec![now],
            acknowledged: vec![(now, now + ttl)],
            is_out: false,
            refused: false,
        }
    }

    fn sent(&self, ago: usize) -> Instant {
        self.sent[self.sent.len().saturating_sub(ago + 1)]
    }

    fn play(&mut self, step: Step, now: Instant) {
        let millis = Duration::from_millis;
        let event = match step {
            Step::Send { patience_ms } => {
                self.sent.push(now);
                self.is_out = true;
                Event::Sent { patience: millis(patience_ms) }
            }
            Step::Renew { ago, remaining_ms, interval_ms, stop } => {
                let sent_at = self.sent(ago);
                let remaining = millis(remaining_ms);
                self.acknowledged.push((sent_at, sent_at + remaining.min(self.lease.ttl)));
                self.is_out &= sent_at != self.sent(0);
                let interval = millis(interval_ms);
                let renewal = Renewal { remaining, interval, ceiling_remaining: None, stop };
                Event::Renewed { sent_at, renewal }
            }
            Step::Fail { ago, pause_ms } => {
                Event::Failed { sent_at: self.sent(ago), pause: millis(pause_ms) }
            }
            Step::Hail => Event::Hail,
            Step::DoneSent => Event::DoneSent,
            Step::DoneGivenUp => Event::DoneGivenUp,
            Step::Disturb => Event::Refused(Refusal::Unauthenticated),
            Step::Refuse(refusal) => {
                self.refused = true;
                Event::Refused(refusal)
            }
        };
        self.lease.apply(event, now);
    }

    /// The end of the lease by the last heartbeat that was acknowledged, less the margin.
    fn bound(&self) -> Instant {
        let last = self.acknowledged.iter().max_by_key(|(sent_at, _)| *sent_at);
        let (_, end) = last.expect("the mint was acknowledged");
        end.checked_sub(self.margin).expect("an instant")
    }

    fn check(&self, now: Instant) -> Result<(), TestCaseError> {
        for probe in [now, now + seconds(1), now + seconds(60), now + seconds(700)] {
            if self.lease.may_write(probe) {
                prop_assert!(!self.refused, "never after a definite refusal");
                prop_assert!(probe < self.bound(), "never beyond an acknowledged lease");
            }
        }
        let is_held = self.lease.standing() == &Standing::Holding;
        prop_assert_eq!(is_held, !self.refused, "lost by a definite refusal and by nothing else");
        if is_held {
            let latest_send = self.sent(0);
            if self.is_out {
                let in_time = latest_send.max(now) + seconds(5);
                prop_assert!(self.lease.is_beat_due(in_time), "unanswered, it is sent again");
                prop_assert!(self.lease.is_beat_due((latest_send + seconds(5)).max(now)));
            }
            let half = self.lease.ttl / 2;
            let patient = (latest_send + half.max(seconds(5))).max(now);
            prop_assert!(self.lease.is_beat_due(patient), "it always goes on");
            let next = self.lease.next_change(now);
            prop_assert!(next.is_some() || self.lease.is_beat_due(now), "it never falls asleep");
        } else {
            prop_assert_eq!(self.lease.next_change(now), None);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn writing_is_never_allowed_beyond_what_was_acknowledged_and_heartbeats_never_cease(
        ttl_ms in 1_000_u64..600_000,
        margin_percent in 0_u32..=50,
        course in prop::collection::vec((0_u64..20_000, step()), 1..60),
    ) {
        let mut now = Instant::now() + seconds(1);
        let mut model = Model::start(now, Duration::from_millis(ttl_ms), margin_percent);
        model.check(now)?;
        for (pause_ms, step) in course {
            now += Duration::from_millis(pause_ms);
            model.play(step, now);
            model.check(now)?;
        }
    }

    #[test]
    fn a_renewal_that_still_runs_allows_writing_again_whatever_failed_before(
        ttl_ms in 1_000_u64..600_000,
        course in prop::collection::vec(
            (0_u64..20_000, step().prop_filter("no loss", |step| !matches!(step, Step::Refuse(_)))),
            1..60,
        ),
    ) {
        let mut now = Instant::now() + seconds(1);
        let ttl = Duration::from_millis(ttl_ms);
        let mut model = Model::start(now, ttl, 10);
        for (pause_ms, step) in course {
            now += Duration::from_millis(pause_ms);
            model.play(step, now);
        }
        model.play(Step::Send { patience_ms: 5_000 }, now);
        let remaining_ms = ttl_ms;
        let answer = Step::Renew { ago: 0, remaining_ms, interval_ms: ttl_ms / 3, stop: false };
        model.play(answer, now);
        prop_assert!(model.lease.may_write(now));
    }
}
