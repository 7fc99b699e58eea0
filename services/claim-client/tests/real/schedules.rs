//! Lines that are late, deaf, dead or cut, at random, and a rival that takes over as soon as the
//! service lets it.

use crate::support::line::{Line, Way};
use crate::support::programs::Server;
use crate::support::{claim, client, in_time};
use claim_client::v1::{Claim, ClaimState};
use claim_client::{ClaimGuard, Client, Done, HoldState, MintRequest, Refusal};
use claims::testing::{StayInService, TestDatabase};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

/// The shortest that the contract allows, and one of several heartbeats.
const LEASES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// From one look at the guard to the next.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// From one attempt of the rival to the next.
const RIVAL_EVERY: Duration = Duration::from_millis(5);

/// What happened in one schedule or in many.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    claims: u32,
    suspended: u32,
    taken_over: u32,
    writes: u32,
    changes_of_way: u32,
    /// The latest end of a permission to write so far, by the wall clock.
    trusted_until: Duration,
    /// The least time from the end of permission to the take-over.
    closest: Option<Duration>,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            claims: self.claims + other.claims,
            suspended: self.suspended + other.suspended,
            taken_over: self.taken_over + other.taken_over,
            writes: self.writes + other.writes,
            changes_of_way: self.changes_of_way + other.changes_of_way,
            trusted_until: self.trusted_until.max(other.trusted_until),
            closest: [self.closest, other.closest].into_iter().flatten().min(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_is_suspended_before_the_lease_is_given_to_another_whatever_the_line_does() {
    let seen = play(8, Duration::from_secs(20)).await;
    assert!(seen.suspended > 0 && seen.taken_over > 0 && seen.writes > 0, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "three minutes; scripts/test-fleet runs it"]
async fn sixty_four_holders_on_bad_lines_for_three_minutes() {
    let seen = play(64, Duration::from_secs(180)).await;
    println!("{seen:?}");
    assert!(seen.suspended > 100 && seen.taken_over > 100 && seen.writes > 10_000, "{seen:?}");
}

async fn play(holders: usize, length: Duration) -> Seen {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let _in_service: StayInService = db.stay_in_service();
    let straight = client(&[server.url()]);
    let end = Instant::now() + length;
    let mut schedules = JoinSet::new();
    for holder in 0..holders {
        let line = Line::to(server.address).await;
        schedules.spawn(schedule(holder, line, straight.clone(), end));
    }
    let seen = schedules.join_all().await.into_iter().fold(Seen::default(), Seen::and);
    db.check_invariants().await;
    seen
}

/// One holder on its own line, one claim after the other.
async fn schedule(holder: usize, line: Line, straight: Client, end: Instant) -> Seen {
    let over_the_line = client(&[line.url()]);
    let (ttl, consumer) = (LEASES[holder % LEASES.len()], format!("w_{holder}"));
    let mut seen = Seen::default();
    while Instant::now() < end {
        line.set(Way::Open);
        let guard = over_the_line.mint(claim(&consumer).lease_ttl(ttl)).await;
        let guard = guard.expect("nobody else has it, and the line is open");
        seen.claims += 1;
        let lost = guard.cancellation();
        let mut rival = pin!(take_over(&straight, guard.claim().clone()));
        let taken_over = tokio::select! {
            rival = &mut rival => Some(rival),
            // The news may be here before the rival has its answer; but there must be a rival.
            () = lost.cancelled() => Some(in_time("the rival has it", rival).await),
            () = spoil(&line, ttl, &mut seen.changes_of_way) => None,
            () = write(&straight, &guard, &mut seen.writes) => None,
            () = look(&guard, &mut seen.trusted_until, &mut seen.suspended) => None,
            () = sleep_until(end.into()) => None,
        };
        line.set(Way::Open);
        let Some((rival, decided_at)) = taken_over else {
            guard.done(Done::completed()).await.expect("it was held to the end");
            continue;
        };
        let between = decided_at.checked_sub(seen.trusted_until);
        let between = between.expect("writing ended before the lease was given to another");
        seen.closest = Some(seen.closest.map_or(between, |closest| closest.min(between)));
        seen.taken_over += 1;
        in_time("the loss is told", lost.cancelled()).await;
        assert!(matches!(guard.state(), HoldState::Lost(Refusal::ClaimExpired(_))));
        rival.done(Done::completed()).await.expect("the rival is done");
    }
    seen
}

/// Mints the same entity over and over until the service grants it, and tells when it decided so.
async fn take_over(straight: &Client, held: Claim) -> (ClaimGuard, Duration) {
    loop {
        let asked = MintRequest::new(&held.entity_url, format!("rival_of_{}", held.consumer_id));
        match straight.mint(asked).await {
            Ok(rival) => {
                let ended = rival.ended_predecessor().expect("it was held");
                assert_eq!(ended.state(), ClaimState::Expired);
                let decided_at = ended.end_time.expect("it has ended");
                let decided_at = SystemTime::try_from(decided_at).expect("a time");
                let decided_at = decided_at.duration_since(UNIX_EPOCH).expect("a time after 1970");
                return (rival, decided_at);
            }
            Err(error) => {
                let held = matches!(error.refusal(), Some(Refusal::AlreadyClaimed { .. }));
                assert!(held, "{error}");
            }
        }
        sleep(RIVAL_EVERY).await;
    }
}

/// Changes the line at random, for up to two leases each time.
async fn spoil(line: &Line, ttl: Duration, changes: &mut u32) {
    loop {
        let (way, longest) = match fastrand::u32(..5) {
            0 => (Way::Open, ttl / 2),
            1 => (Way::Late(ttl.mul_f64(fastrand::f64())), ttl * 2),
            2 => (Way::BlackHole, ttl * 2),
            3 => (Way::Deaf, ttl * 2),
            _ => (Way::Cut, ttl),
        };
        line.set(way);
        *changes += 1;
        sleep(longest.mul_f64(fastrand::f64())).await;
    }
}

/// Writes whenever the guard allows it. What is through in the time that it gave must be allowed.
async fn write(straight: &Client, guard: &ClaimGuard, writes: &mut u32) {
    let (stream, token) = (&guard.claim().stream_path, guard.write_token().reveal());
    while let Ok(until) = guard.may_write().await {
        let allowed = straight.authorize_write("", stream, token).await;
        if Instant::now() < until {
            allowed.expect("it was allowed by the guard");
            *writes += 1;
        }
        sleep(LOOK_EVERY * 10).await;
    }
    std::future::pending::<()>().await;
}

/// Notes the latest time that the guard ever trusted the lease to, and how often it did not.
async fn look(guard: &ClaimGuard, trusted_until: &mut Duration, suspended: &mut u32) {
    let mut was_writing = true;
    loop {
        let state = guard.state();
        if let HoldState::Writing { until } = state {
            *trusted_until = (*trusted_until).max(wall_clock(until));
        }
        let is_writing = matches!(state, HoldState::Writing { .. });
        if was_writing && state == HoldState::Suspended {
            *suspended += 1;
        }
        was_writing = is_writing;
        sleep(LOOK_EVERY).await;
    }
}

/// The same moment by the clock that the database has on the same machine, since 1970.
fn wall_clock(at: Instant) -> Duration {
    let (now, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
    wall.expect("after 1970") + at.saturating_duration_since(now)
        - now.saturating_duration_since(at)
}
