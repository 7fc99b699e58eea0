//! The lease as its holder knows it: cases, and what holds for every course of events.

use super::*;
use crate::refusal::Ending;

mod properties;

/// A tenth of it is the margin.
const TTL: Duration = Duration::from_secs(30);
const MARGIN_PERCENT: u32 = 10;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn renewal(remaining: u64) -> Renewal {
    Renewal {
        remaining: seconds(remaining),
        interval: seconds(10),
        ceiling_remaining: None,
        stop: false,
    }
}

fn minted(sent_at: Instant) -> Lease {
    Lease::minted(sent_at, TTL, MARGIN_PERCENT, TTL, &renewal(30))
}

fn ended() -> Ending {
    Ending { time: String::new(), reason: String::new() }
}

/// A heartbeat sent then.
fn send(lease: &mut Lease, at: Instant) {
    lease.apply(Event::Sent { patience: seconds(5) }, at);
}

fn renewed(sent_at: Instant, remaining: u64) -> Event {
    Event::Renewed { sent_at, renewal: renewal(remaining) }
}

#[test]
fn the_lease_counts_from_when_the_heartbeat_was_sent_and_not_from_its_answer() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let sent_at = begin + seconds(10);
    send(&mut lease, sent_at);
    lease.apply(renewed(sent_at, 30), begin + seconds(14));
    assert_eq!(lease.write_until(), sent_at + seconds(27));
}

#[test]
fn a_slow_mint_shortens_the_first_lease() {
    let begin = Instant::now();
    let lease = minted(begin);
    assert!(lease.may_write(begin + Duration::from_millis(26_999)));
    assert!(!lease.may_write(begin + seconds(27)));
}

#[test]
fn an_older_answer_that_comes_later_takes_nothing_back() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let (first, second) = (begin + seconds(10), begin + seconds(14));
    send(&mut lease, first);
    send(&mut lease, second);
    lease.apply(renewed(second, 30), begin + seconds(15));
    lease.apply(renewed(first, 30), begin + seconds(16));
    assert_eq!(lease.write_until(), second + seconds(27));
    assert!(!lease.is_beat_due(second + seconds(9)), "the later answer paces the next heartbeat");
    assert!(lease.is_beat_due(second + seconds(10)));
}

#[test]
fn a_suspended_claim_goes_on_heartbeating_and_comes_back() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    send(&mut lease, begin + seconds(10));
    let late = begin + seconds(40);
    assert!(!lease.may_write(late));
    assert_eq!(lease.standing(), &Standing::Holding);
    assert!(lease.is_beat_due(late));
    send(&mut lease, late);
    lease.apply(renewed(late, 30), late);
    assert!(lease.may_write(late));
}

#[test]
fn an_unanswered_heartbeat_is_due_again_within_five_seconds_whatever_the_interval() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let sent_at = begin + seconds(10);
    lease.apply(Event::Sent { patience: seconds(60) }, sent_at);
    assert!(lease.is_beat_due(sent_at + seconds(5)));
}

#[test]
fn a_short_lease_does_not_wait_five_seconds_for_an_answer() {
    let begin = Instant::now();
    let third = Duration::from_millis(333);
    let short = Renewal { remaining: seconds(1), interval: third, ..renewal(1) };
    let mut lease = Lease::minted(begin, seconds(1), MARGIN_PERCENT, TTL, &short);
    send(&mut lease, begin + third);
    assert!(lease.is_beat_due(begin + third * 2));
}

#[test]
fn a_failure_that_asks_for_patience_is_not_given_more_than_the_contract_allows() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let sent_at = begin + seconds(10);
    send(&mut lease, sent_at);
    let failed = Event::Failed { sent_at, pause: seconds(60) };
    lease.apply(failed, sent_at + seconds(1));
    assert!(!lease.is_beat_due(sent_at + seconds(4)));
    assert!(lease.is_beat_due(sent_at + seconds(5)));
}

#[test]
fn every_definite_refusal_is_a_loss_and_ends_the_heartbeats() {
    let begin = Instant::now();
    for refusal in [
        Refusal::ClaimNotFound,
        Refusal::ClaimSuperseded { by_consumer_id: "w_2".into(), by_epoch: 2 },
        Refusal::ClaimReleased(ended()),
        Refusal::ClaimFailed(ended()),
        Refusal::ClaimExpired(ended()),
        Refusal::ClaimRevoked(ended()),
        Refusal::CeilingReached,
        Refusal::WriteTokenInvalid,
    ] {
        let mut lease = minted(begin);
        lease.apply(Event::Refused(refusal.clone()), begin);
        assert_eq!(lease.standing(), &Standing::Lost(refusal));
        assert!(!lease.may_write(begin) && !lease.is_beat_due(begin + seconds(100)));
        assert_eq!(lease.next_change(begin), None);
        lease.apply(renewed(begin, 30), begin);
        assert!(!lease.may_write(begin), "a late answer does not bring it back");
    }
}

#[test]
fn a_heartbeat_that_meets_its_own_done_reports_no_loss() {
    let begin = Instant::now();
    for refusal in [Refusal::ClaimReleased(ended()), Refusal::ClaimFailed(ended())] {
        let mut lease = minted(begin);
        lease.apply(Event::DoneSent, begin);
        lease.apply(Event::Refused(refusal), begin);
        assert_eq!(lease.standing(), &Standing::Over);
    }
    let mut lease = minted(begin);
    lease.apply(Event::DoneSent, begin);
    lease.apply(Event::Refused(Refusal::ClaimExpired(ended())), begin);
    assert!(matches!(lease.standing(), Standing::Lost(_)), "that was somebody else");
}

#[test]
fn a_claim_goes_on_being_heartbeaten_while_it_is_asked_to_stop_or_reported_done() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let stop = Renewal { stop: true, ..renewal(30) };
    send(&mut lease, begin);
    lease.apply(Event::Renewed { sent_at: begin, renewal: stop }, begin);
    lease.apply(Event::DoneSent, begin);
    assert!(lease.is_stop_requested() && lease.may_write(begin));
    assert!(lease.is_beat_due(begin + seconds(10)));
}

#[test]
fn a_request_to_stop_is_withdrawn_by_a_later_heartbeat_and_not_by_a_late_answer() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let (first, second) = (begin + seconds(10), begin + seconds(14));
    send(&mut lease, first);
    send(&mut lease, second);
    let stop = Renewal { stop: true, ..renewal(30) };
    lease.apply(Event::Renewed { sent_at: second, renewal: stop }, second);
    assert!(lease.is_stop_requested());
    lease.apply(renewed(first, 30), second + seconds(1));
    assert!(lease.is_stop_requested(), "that answer may be older than the request");
    let third = second + seconds(3);
    send(&mut lease, third);
    lease.apply(renewed(third, 30), third);
    assert!(!lease.is_stop_requested());
}

#[test]
fn the_first_heartbeat_is_sent_soon_after_the_mint_and_the_others_at_the_interval() {
    let begin = Instant::now();
    let mut lease = Lease::minted(begin, TTL, MARGIN_PERCENT, seconds(1), &renewal(30));
    assert!(!lease.is_beat_due(begin + Duration::from_millis(999)));
    let first = begin + seconds(1);
    assert!(lease.is_beat_due(first));
    send(&mut lease, first);
    lease.apply(renewed(first, 30), first);
    assert!(!lease.is_beat_due(first + seconds(9)));
    assert!(lease.is_beat_due(first + seconds(10)));
}

#[test]
fn a_database_clock_that_steps_back_and_forth_gives_no_time_beyond_the_claims_own_lease() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    let (first, second) = (begin + seconds(10), begin + seconds(20));
    send(&mut lease, first);
    lease.apply(renewed(first, 330), first);
    assert_eq!(lease.write_until(), first + seconds(27), "it may be corrected at any time");
    send(&mut lease, second);
    lease.apply(renewed(second, 5), second);
    assert_eq!(lease.write_until(), second + seconds(2), "the last word counts");
}

#[test]
fn a_short_lease_does_not_stay_away_as_long_as_a_server_asks() {
    let begin = Instant::now();
    let third = Duration::from_millis(333);
    let short = Renewal { remaining: seconds(1), interval: third, ..renewal(1) };
    let mut lease = Lease::minted(begin, seconds(1), MARGIN_PERCENT, TTL, &short);
    let sent_at = begin + third;
    send(&mut lease, sent_at);
    lease.apply(Event::Failed { sent_at, pause: seconds(2) }, sent_at);
    assert!(lease.is_beat_due(sent_at + third));
}

#[test]
fn the_ceiling_is_asked_about_when_it_comes() {
    let begin = Instant::now();
    let near = Renewal {
        remaining: seconds(12),
        ceiling_remaining: Some(seconds(12)),
        interval: seconds(10),
        stop: false,
    };
    let mut lease = Lease::minted(begin, TTL, MARGIN_PERCENT, TTL, &near);
    let sent_at = begin + seconds(10);
    send(&mut lease, sent_at);
    let nearer = Renewal { remaining: seconds(2), ceiling_remaining: Some(seconds(2)), ..near };
    lease.apply(Event::Renewed { sent_at, renewal: nearer }, sent_at);
    assert!(!lease.is_beat_due(begin + Duration::from_millis(11_999)));
    assert!(lease.is_beat_due(begin + seconds(12)));
}

#[test]
fn a_new_stream_asks_for_a_heartbeat_only_of_claims_that_an_older_one_knew() {
    let begin = Instant::now();
    let mut lease = minted(begin);
    lease.apply(Event::Hail, begin);
    assert!(!lease.is_beat_due(begin));
    send(&mut lease, begin + seconds(10));
    lease.apply(renewed(begin + seconds(10), 30), begin + seconds(10));
    lease.apply(Event::Hail, begin + seconds(11));
    assert!(lease.is_beat_due(begin + seconds(11)));
}

#[test]
fn an_absurd_promise_is_believed_up_to_the_longest_lease_there_is() {
    let begin = Instant::now();
    let absurd = Renewal {
        remaining: Duration::MAX,
        interval: Duration::MAX,
        ceiling_remaining: Some(Duration::MAX),
        stop: false,
    };
    let lease = Lease::minted(begin, Duration::MAX, MARGIN_PERCENT, LEASE_TTL_MAX, &absurd);
    assert_eq!(lease.write_until(), begin + LEASE_TTL_MAX - LEASE_TTL_MAX / 10);
    assert!(lease.is_beat_due(begin + LEASE_TTL_MAX / 2));
}
