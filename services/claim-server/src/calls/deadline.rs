//! The time a call has: what its caller gave by `grpc-timeout`, or our own default, and never more
//! than a cap. When it is up the call's future is dropped, by which the store learns that nobody
//! waits any more, and the answer is DEADLINE_EXCEEDED. The store knows the deadline too: a server that
//! was stopped goes on with what it was asked before, and must not begin what is over.
//!
//! tonic's server would have a timer of its own for the same header. It answers CANCELLED, which would
//! tell a caller that the call was given up on its own wish. Streams are left alone: how long a watch lasts is its caller's affair, and if the caller has given it a time, the
//! watch itself ends then.

use super::method::Method;
use claims::store::until;
use http::{Extensions, HeaderMap};
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The time of a call whose caller gave none. A heartbeat has 5 s by contract; nothing here takes
/// longer unless something is wrong.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The most time of any call: beyond it, a caller that waits holds memory here for nothing.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How much earlier than the caller's deadline our timer rings, so that its answer arrives in time.
const HEAD_START: Duration = Duration::from_millis(1);

const TIMEOUT_HEADER: &str = "grpc-timeout";
/// Most digits of a timeout, by the gRPC protocol.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// How many tenths of a call's time its parts have, where each has an answer of its own: the rest is
/// for telling how they went.
const TENTHS_FOR_PARTS: u32 = 9;

/// When a call's time is up. The handler finds it among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// That of a call; a stream has none from outside.
    call: Option<Instant>,
    /// What the caller of a stream gave it.
    stream: Option<Instant>,
}

impl Deadline {
    /// The deadline of a call that begins now.
    pub(super) fn of(method: Method, headers: &HeaderMap) -> Self {
        let given = headers.get(TIMEOUT_HEADER).and_then(|value| parse(value.to_str().ok()?));
        let after = |timeout: Duration| Instant::now() + timeout.saturating_sub(HEAD_START);
        if method.streams() {
            return Self { call: None, stream: given.map(after) };
        }
        let timeout = given.unwrap_or(TIMEOUT_DEFAULT).min(TIMEOUT_MAX);
        Self { call: Some(after(timeout)), stream: None }
    }

    /// The one that the caller of the stream that is handled gave it.
    pub(crate) fn of_stream(request: &Extensions) -> Self {
        let stream = request.get::<Self>().and_then(|deadline| deadline.stream);
        Self { call: None, stream }
    }

    /// That of a stream, for tests.
    #[cfg(test)]
    pub(crate) fn ending_stream_in(time: Duration) -> Self {
        Self { call: None, stream: Some(Instant::now() + time) }
    }

    /// Completes when a stream's time is up.
    pub(crate) async fn over(self) {
        match self.stream {
            // Timers count in whole milliseconds; time that is up is up at once.
            Some(deadline) if deadline <= Instant::now() => {}
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    }

    /// Until when the parts of the call that is handled may take, but no longer than `most`.
    pub(crate) fn of_parts(request: &Extensions, most: Duration) -> Instant {
        let now = Instant::now();
        let left =
            request.get::<Self>().and_then(|deadline| deadline.call).map_or(most, |deadline| {
                deadline.saturating_duration_since(now) * TENTHS_FOR_PARTS / 10
            });
        now + left.min(most)
    }

    /// What `call` gives in time; none if it does not.
    pub(super) async fn limit<T>(self, call: impl Future<Output = T>) -> Option<T> {
        let Some(deadline) = self.call else {
            return Some(call.await);
        };
        // Time that is up before the call began: do not begin.
        if deadline <= Instant::now() {
            return None;
        }
        timeout_at(deadline, until(deadline.into_std(), call)).await.ok()
    }
}

/// A timeout as the gRPC protocol writes it: up to eight digits and a unit. Anything else is as if
/// it had not been given.
fn parse(value: &str) -> Option<Duration> {
    let unit = value.chars().next_back()?;
    let digits = value.strip_suffix(unit)?;
    if digits.len() > TIMEOUT_DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unary() -> Method {
        Method::of("/claim.v1.ClaimService/Heartbeat")
    }

    fn headers(timeout: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(TIMEOUT_HEADER),
            http::HeaderValue::from_static(timeout),
        )])
    }

    #[test]
    fn timeouts_are_read_in_every_unit() {
        assert_eq!(parse("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(parse("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    }

    #[test]
    fn a_timeout_that_is_none_is_not_read() {
        for value in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1S", "1Sü", "ü"] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }

    async fn time_until_given_up(method: Method, headers: &HeaderMap) -> Duration {
        let begin = Instant::now();
        assert_eq!(Deadline::of(method, headers).limit(pending::<()>()).await, None);
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_given_up_just_before_its_callers_deadline() {
        let waited = time_until_given_up(unary(), &headers("5S")).await;
        assert_eq!(waited, Duration::from_secs(5) - HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_readable_deadline_has_the_default() {
        let default = TIMEOUT_DEFAULT - HEAD_START;
        assert_eq!(time_until_given_up(unary(), &HeaderMap::new()).await, default);
        assert_eq!(time_until_given_up(unary(), &headers("soon")).await, default);
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_has_more_than_the_cap() {
        let waited = time_until_given_up(unary(), &headers("99999999H")).await;
        assert_eq!(waited, TIMEOUT_MAX - HEAD_START);
    }

    #[tokio::test]
    async fn a_call_whose_time_is_up_does_not_begin() {
        let mut begun = false;
        let call = async { begun = true };
        assert_eq!(Deadline::of(unary(), &headers("0n")).limit(call).await, None);
        assert!(!begun);
    }

    #[tokio::test(start_paused = true)]
    async fn the_parts_of_a_call_have_most_of_its_time_and_never_more_than_they_may() {
        const MOST: Duration = Duration::from_secs(5);
        let of = |deadline: Option<Deadline>| {
            let mut request = Extensions::new();
            deadline.map(|deadline| request.insert(deadline));
            Deadline::of_parts(&request, MOST) - Instant::now()
        };
        let given = |timeout| Some(Deadline::of(unary(), &headers(timeout)));
        assert_eq!(of(given("1S")), (Duration::from_secs(1) - HEAD_START) * 9 / 10);
        assert_eq!(of(given("1m")), Duration::ZERO);
        assert_eq!(of(given("60S")), MOST);
        assert_eq!(of(None), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_no_deadline_of_ours() {
        let watch = Method::of("/grpc.health.v1.Health/Watch");
        let call = tokio::time::sleep(TIMEOUT_MAX * 10);
        assert_eq!(Deadline::of(watch, &headers("1S")).limit(call).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_learns_when_the_time_is_up_that_its_caller_gave_it() {
        let method = Method::of("/claim.v1.ClaimService/WatchClaimEvents");
        let mut request = Extensions::new();
        request.insert(Deadline::of(method, &headers("1H")));
        let begin = Instant::now();
        Deadline::of_stream(&request).over().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(3600) - HEAD_START);

        let day = Duration::from_secs(86_400);
        request.insert(Deadline::of(method, &HeaderMap::new()));
        let never = Deadline::of_stream(&request).over();
        assert!(tokio::time::timeout(day, never).await.is_err(), "nobody gave it a time");
        request.insert(Deadline::of(unary(), &headers("1S")));
        let never = Deadline::of_stream(&request).over();
        assert!(tokio::time::timeout(day, never).await.is_err(), "it is no stream");
    }
}
