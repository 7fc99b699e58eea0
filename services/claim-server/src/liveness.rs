//! The signature of this server (R6): while it can hear heartbeats it says so every 2 s, over the
//! path that serves them. A hole in the signatures is an outage, and for its length nobody is held
//! to a lease.
//!
//! It says nothing of a server that drains: that one turns heartbeats away.

use claims::program::Shutdown;
use claims::store::{ClaimStore, Signature, StoreError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// From one signature to the next; two may fail before anybody takes it for an outage.
const SIGN_INTERVAL: Duration = Duration::from_secs(2);

/// Since when signatures have failed, or one has had no answer; none while they succeed. No heartbeat
/// is served then either.
pub(crate) type UnsignedSince = Option<Instant>;

/// Signs until `shutdown`. A signature that fails is not repeated before its time; the store says
/// why it failed.
pub(crate) async fn sign(
    store: ClaimStore,
    outage_grace: Duration,
    unsigned: watch::Sender<UnsignedSince>,
    shutdown: Shutdown,
) {
    let mut ticks = interval(SIGN_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told { outage_grace, foreign: None };
    let signing = async {
        loop {
            ticks.tick().await;
            unsigned.send_modify(|since| _ = since.get_or_insert_with(Instant::now));
            match store.sign(outage_grace).await {
                Ok(signature) => {
                    unsigned.send_replace(None);
                    told.tell(&signature);
                }
                // Heartbeats are served, more of them than there is room for.
                Err(StoreError::Overloaded) => _ = unsigned.send_replace(None),
                Err(_) => {}
            }
        }
    };
    tokio::select! {
        () = shutdown.asked() => {}
        () = signing => {}
    }
}

/// What has been said of signatures, so that nothing is said every 2 s.
struct Told {
    outage_grace: Duration,
    foreign: Option<Duration>,
}

impl Told {
    fn tell(&mut self, signature: &Signature) {
        let own = self.outage_grace;
        if signature.resumed {
            tracing::info!(
                outage_grace_ms = own.as_millis(),
                "the service resumed; claims not heard of since are protected for {own:?}"
            );
        }
        if let Some(found) = self.news_of_a_foreign_grace(signature.found_outage_grace) {
            tracing::warn!(
                found_ms = found.as_millis(),
                own_ms = own.as_millis(),
                "another server has an outage grace of {found:?}, this one of {own:?}; \
                 CLAIM_OUTAGE_GRACE must be the same for all"
            );
        }
    }

    /// A foreign outage grace that has not been told of. Two servers that disagree find each
    /// other's in turn with their own, so only another foreign one is news.
    fn news_of_a_foreign_grace(&mut self, found: Option<Duration>) -> Option<Duration> {
        let found = found.filter(|found| *found != self.outage_grace)?;
        (self.foreign.replace(found) != Some(found)).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_outage_grace_is_told_once_and_not_with_every_signature() {
        let seconds = |count| Some(Duration::from_secs(count));
        let mut told = Told { outage_grace: Duration::from_secs(30), foreign: None };
        assert_eq!(told.news_of_a_foreign_grace(None), None);
        assert_eq!(told.news_of_a_foreign_grace(seconds(30)), None);
        assert_eq!(told.news_of_a_foreign_grace(seconds(60)), seconds(60));
        assert_eq!(told.news_of_a_foreign_grace(seconds(60)), None);
        assert_eq!(told.news_of_a_foreign_grace(seconds(30)), None);
        assert_eq!(told.news_of_a_foreign_grace(seconds(60)), None);
        assert_eq!(told.news_of_a_foreign_grace(seconds(0)), seconds(0));
    }
}
