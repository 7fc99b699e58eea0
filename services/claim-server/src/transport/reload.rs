//! Certificates are read again when their files have changed, so that they can be renewed without a
//! restart. Connections that are open go on with what they began with.
//!
//! Contents are compared, and not times: Kubernetes exchanges a whole folder by one symbolic link,
//! others write one file after the other. So what is found counts only when two looks in a row have
//! found the same; a certificate whose key is still to come is then no error.

use super::files::{Certificates, Look};
use super::settings::Encrypted;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, MissedTickBehavior, interval};
use x509_cert::der::DateTime;

/// How long before its end a certificate should have been replaced.
const EXPIRY_NOTICE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// From one line of log about its end to the next.
const EXPIRY_REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// What new connections are encrypted with.
pub(crate) type Current = Arc<ArcSwap<ServerConfig>>;

/// Looks at the files for as long as it runs.
pub(crate) struct Reload {
    encrypted: Encrypted,
    current: Current,
    /// What was found last, and whether it has been dealt with.
    last: Look,
    is_settled: bool,
    warned_at: Option<Instant>,
}

impl Reload {
    /// Begins with what was found at the start.
    pub(crate) fn new(encrypted: Encrypted) -> Self {
        let current = Arc::new(ArcSwap::new(Arc::clone(&encrypted.certificates.config)));
        let last = encrypted.look.clone();
        Self { encrypted, current, last, is_settled: true, warned_at: None }
    }

    /// Where the newest certificates can be had.
    pub(crate) fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// Never ends by itself.
    pub(crate) async fn run(mut self) {
        let expires_at = self.encrypted.certificates.expires_at;
        tracing::info!(%expires_at, "connections are encrypted; the certificate ends {expires_at}");
        let mut ticks = interval(self.encrypted.reload_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.remind();
            ticks.tick().await;
            let files = self.encrypted.files.clone();
            // A file system may be slow.
            if let Ok(look) = tokio::task::spawn_blocking(move || files.look()).await {
                self.found(look);
            }
        }
    }

    fn found(&mut self, look: Look) {
        let is_same = look == self.last;
        self.last = look;
        if !is_same {
            self.is_settled = false;
        } else if !self.is_settled {
            self.is_settled = true;
            self.take();
        }
    }

    fn take(&mut self) {
        match self.last.certificates(&self.encrypted.files) {
            Ok(certificates) => {
                let expires_at = certificates.expires_at;
                self.current.store(Arc::clone(&certificates.config));
                self.encrypted.certificates = certificates;
                self.warned_at = None;
                tracing::info!(
                    %expires_at,
                    "new certificates are in use; the server's ends {expires_at}"
                );
            }
            Err(wrong) => {
                let Certificates { expires_at, .. } = &self.encrypted.certificates;
                tracing::error!(
                    setting = wrong.name, %expires_at,
                    "the new certificates cannot be used, those in use stay: {wrong}"
                );
            }
        }
    }

    /// Says, once a day, that the certificate is about to end.
    fn remind(&mut self) {
        let expires_at = self.encrypted.certificates.expires_at;
        let is_told = self.warned_at.is_some_and(|at| at.elapsed() < EXPIRY_REMINDER);
        let now = SystemTime::now();
        if is_told || !ends_soon(expires_at, now) {
            return;
        }
        self.warned_at = Some(Instant::now());
        if expires_at.to_system_time() < now {
            tracing::error!(%expires_at, "the certificate has ended {expires_at}: clients refuse it");
        } else {
            tracing::warn!(%expires_at, "the certificate ends {expires_at}: put a new one in its place");
        }
    }
}

/// Whether there is less than the notice left, or nothing.
fn ends_soon(expires_at: DateTime, now: SystemTime) -> bool {
    expires_at.to_system_time() < now + EXPIRY_NOTICE
}

#[cfg(test)]
mod tests;
