//! When the reaper leaves lapsed claims alone on purpose: after an outage of the service (R6), and
//! when so many claims became due at once that a fault is likelier than their holders' deaths (R7).

use super::time::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// Why claims were held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The service was not able to hear heartbeats, or came back only just now (R6).
    OutageGrace,
    /// Too many claims became due at once (R7).
    Brake,
}

impl HoldReason {
    /// The reason's stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutageGrace => "outage_grace",
            Self::Brake => "brake",
        }
    }

    /// The reason of a stored name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::OutageGrace, Self::Brake].into_iter().find(|reason| reason.as_str() == name)
    }
}

/// The brake against mass expiry (R7).
///
/// A claim is *fresh* while it has been due for less than the span. If many of the active claims
/// are fresh, every fresh claim is held. So a real mass death is cleaned up one span later, and a
/// false one has that long to be noticed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brake {
    /// The brake engages above this share of the active claims; at 1 never.
    pub share: f64,
    /// It engages from this many fresh claims on.
    pub min: u64,
    /// How long a claim that became due is fresh.
    pub span: Duration,
}

impl Default for Brake {
    fn default() -> Self {
        Self { share: 0.5, min: 20, span: Duration::from_secs(60) }
    }
}

impl Brake {
    /// Whether fresh claims are to be held: at least `min` of the `active` ones became due within
    /// the span, and these are more than the share of all.
    ///
    /// Both numbers include the active claims that reapers have expired within the span while they
    /// were fresh: leases lapse one after the other, and a mass death that is spread over several
    /// passes must not be over before it is noticed.
    #[must_use]
    pub fn engages(&self, fresh: u64, active: u64) -> bool {
        fresh >= self.min && real(fresh) > self.share * real(active)
    }

    /// Whether a claim due since `due_at` is fresh at `now`.
    #[must_use]
    pub fn is_fresh(&self, due_at: Timestamp, now: Timestamp) -> bool {
        now.since(due_at) < self.span
    }
}

/// As a real number; there is no database of more than four thousand million live claims.
fn real(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
