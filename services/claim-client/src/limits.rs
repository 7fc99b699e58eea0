//! Every limit of the client that is not a setting, and why it is what it is.

use std::time::Duration;

/// Longest wait for one answer to a call. The contract allows a heartbeat no more, and a server
/// that has not decided by then is better asked again.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a call with all its repetitions, unless the settings say otherwise: longer than
/// a database takes to fail over.
pub(crate) const CALL_DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// How long a server's host may leave unacknowledged what was sent to it. Then the connection is over,
/// and what it still carries is given up with it: the kernel would send it again for minutes, and a mint
/// of an attempt that ended long ago, arriving after the next one, would take that one's token (M2). So
/// much below [`ATTEMPT_TIMEOUT`] that nothing of an attempt arrives after it.
pub(crate) const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(4);
/// Longest time to connect: name, TCP and TLS together. Longer would leave no time for a second
/// connection within a heartbeat's 5 s.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection with a call in flight is asked whether its peer still lives, and how long
/// it may take to answer. A stream that carries one heartbeat in three minutes is kept open so, and
/// a push is not lost for longer.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`PING_INTERVAL`].
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A heartbeat is sent again, unanswered or failed, no later than this after it was sent. The
/// contract says 5 s; the rest is for a busy machine.
pub(crate) const RESEND_MAX: Duration = Duration::from_millis(4500);
/// Silence after which a stream counts as broken although nobody said so: heartbeats are out and
/// nothing at all comes back. Longer than the 2 s after which a server without a database ends its
/// streams by itself; so much below 5 s that the next stream opens in time.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(3);
/// The first heartbeat of a claim is sent no later than this after its mint: a server tells a stream
/// only of claims that it has heard on it. Work that is done sooner costs none.
pub(crate) const FIRST_BEAT_MAX: Duration = Duration::from_secs(1);
/// Shortest time between two heartbeats of a claim, whatever the server suggests.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest lease there is (M6). No answer is believed to promise more.
pub(crate) const LEASE_TTL_MAX: Duration = Duration::from_secs(600);
/// Heartbeats that may wait for the network on one stream. More stay due until there is room.
pub(crate) const SEND_QUEUE: usize = 1024;
/// When to look for room again.
pub(crate) const SEND_QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// Answers that may wait for the thread that handles them.
pub(crate) const ANSWER_QUEUE: usize = 1024;
/// An answer older than this is of no use: the same claim has sent a dozen heartbeats since.
pub(crate) const FLIGHT_AGE_MAX: Duration = Duration::from_secs(60);
/// Silence after which a watch counts as broken: the contract has a checkpoint every 15 s.
pub(crate) const WATCH_SILENCE_MAX: Duration = Duration::from_secs(20);
/// How often a file with a bearer token is read again, at most: a token is replaced long before the one
/// before it is over.
pub(crate) const BEARER_FILE_INTERVAL: Duration = Duration::from_secs(1);
/// Longest bearer token: servers take no longer headers.
pub(crate) const BEARER_BYTES_MAX: usize = 16 * 1024 - 512;
/// Longest progress note (`api.md`).
pub(crate) const PROGRESS_BYTES_MAX: usize = 256;

/// Wait before the first repetition, doubled for each further one.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between repetitions, but for what a `RetryInfo` asks. With [`CONNECT_TIMEOUT`] it
/// stays below [`RESEND_MAX`], so that heartbeats keep their time while servers are away.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// The longest time to stay away that a server is believed to ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The longest deadline that a call can be given.
pub(crate) const CALL_DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest text of a failed done (`api.md`).
pub(crate) const ERROR_MESSAGE_BYTES_MAX: usize = 1024;
/// Longest wait before another server is tried that has not been asked yet: only as long as it
/// takes that a fleet does not come all at once.
pub(crate) const SWITCH_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Largest share of a lease that may be given away as margin.
pub(crate) const WRITE_MARGIN_PERCENT_MAX: u32 = 50;
/// The margin, unless the settings say otherwise.
pub(crate) const WRITE_MARGIN_PERCENT_DEFAULT: u32 = 10;
