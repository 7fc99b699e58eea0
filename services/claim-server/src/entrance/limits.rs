//! Bounds of connections: how many there are, and how long one may be good for nothing.

use claims::program::{WrongSetting, parse_length};
use clap::Args;
use std::ops::RangeInclusive;
use std::time::Duration;

const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
/// A handshake is two round trips, which the worst of lines manages in a minute.
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Beyond a day the network has forgotten the connection anyway.
const IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
const WRITE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 60);

/// Bounds of the gRPC listener's connections.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectionSettings {
    /// Most connections at a time; 1 to 1000000
    ///
    /// One more is closed at once. Each costs a file descriptor and some tens of kilobytes. Lower than the
    /// runners need: some of them cannot connect. Higher than the process may have descriptors
    /// (ulimit -n): it runs out of those first.
    #[arg(
        long,
        env = "CLAIM_CONNECTIONS_MAX",
        value_name = "CLAIM_CONNECTIONS_MAX",
        default_value_t = ConnectionSettings::default().connections_max
    )]
    pub connections_max: usize,

    /// How long a new connection may take to encrypt, and then again to say that it speaks HTTP/2;
    /// 100ms to 1m
    ///
    /// Longer: who says nothing holds a connection for longer. Shorter: clients on bad lines cannot
    /// connect.
    #[arg(
        long,
        env = "CLAIM_HANDSHAKE_TIMEOUT",
        value_name = "CLAIM_HANDSHAKE_TIMEOUT",
        default_value = "5s",
        value_parser = parse_length
    )]
    pub handshake_timeout: Duration,

    /// After how long without any call a connection is closed, in good order; 1s to 24h
    ///
    /// It may take twice as long. Open streams and watchers count as calls. Shorter: clients that call
    /// seldom connect anew each time. Longer: forgotten connections stay.
    #[arg(
        long,
        env = "CLAIM_CONNECTION_IDLE",
        value_name = "CLAIM_CONNECTION_IDLE",
        default_value = "5m",
        value_parser = parse_length
    )]
    pub connection_idle: Duration,

    /// After how long a connection is closed whose other end takes no answers; 1s to 10m
    ///
    /// Longer: who does not read holds answers in memory for longer. Shorter: clients that stand still
    /// for a while are cut off.
    #[arg(
        long,
        env = "CLAIM_WRITE_TIMEOUT",
        value_name = "CLAIM_WRITE_TIMEOUT",
        default_value = "30s",
        value_parser = parse_length
    )]
    pub write_timeout: Duration,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            handshake_timeout: Duration::from_secs(5),
            connection_idle: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(30),
        }
    }
}

impl ConnectionSettings {
    /// Checks the bounds; names the first setting that is out of them.
    pub fn check(self) -> Result<Self, WrongSetting> {
        if !CONNECTIONS.contains(&self.connections_max) {
            return Err(WrongSetting::new("CLAIM_CONNECTIONS_MAX", "must be 1 to 1000000"));
        }
        for (name, value, bounds, words) in [
            ("CLAIM_HANDSHAKE_TIMEOUT", self.handshake_timeout, HANDSHAKE, "100ms to 1m"),
            ("CLAIM_CONNECTION_IDLE", self.connection_idle, IDLE, "1s to 24h"),
            ("CLAIM_WRITE_TIMEOUT", self.write_timeout, WRITE, "1s to 10m"),
        ] {
            if !bounds.contains(&value) {
                return Err(WrongSetting::new(name, format!("must be {words}")));
            }
        }
        Ok(self)
    }
}
