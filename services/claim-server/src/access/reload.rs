//! Files are looked at every second, and keys fetched from their issuer every few minutes, or
//! when a token names one that is not known. What can be used replaces what was loaded before; what
//! cannot is said in one line, and what was loaded before stays.

use super::fetch::Fetcher;
use super::flaw::Flaw;
use super::jwt::{Expected, Keys};
use super::policy::Policy;
use super::tokens::Tokens;
use super::{Access, AccessConfig};
use crate::source::Source;
use claims::chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often files are looked at: soon enough for whoever waits for it, and rarely enough to cost
/// nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often keys are fetched from their issuer. Issuers show a new key hours before they sign with
/// it; a key that is withdrawn counts no longer than this.
const FETCH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// From a fetch that failed to the next one.
const FETCH_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// Where everything is read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) policy: Option<Source>,
    pub(super) tokens: Option<Source>,
    pub(super) keys: Option<(KeySource, Expected)>,
}

/// Where keys are read from.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    File(Source),
    Url(Box<Fetcher>),
}

/// Keeps what was loaded as its sources say.
#[derive(Debug)]
pub(crate) struct Reloader {
    access: Access,
    sources: Sources,
    /// When keys are to be fetched next.
    fetch_at: Instant,
}

impl Reloader {
    /// Has yet to look.
    pub(crate) fn new(access: Access, config: &AccessConfig) -> Self {
        Self { access, sources: config.sources.clone(), fetch_at: Instant::now() }
    }

    /// Fetches what can only be fetched, before anybody is served. If that fails, it is tried again
    /// later: until then JWTs count for nothing.
    pub(crate) async fn begin(&mut self) {
        self.fetch(false).await;
    }

    /// Looks and looks again, until it is dropped.
    pub(crate) async fn run(mut self) {
        let access = self.access.clone();
        loop {
            let is_wanted = tokio::select! {
                () = sleep(LOOK_INTERVAL) => false,
                () = access.0.wanted.notified() => true,
            };
            self.look().await;
            self.fetch(is_wanted).await;
            access.audit().catch_up();
        }
    }

    async fn look(&mut self) {
        let access = &self.access;
        if let Some(source) = &mut self.sources.policy
            && let Some(text) = source.news().await
            && let Some(policy) = taken(&source.place(), Policy::parse(&text))
        {
            access.replace(|loaded| loaded.policy = policy.clone());
        }
        if let Some(source) = &mut self.sources.tokens
            && let Some(text) = source.news().await
            && let Some(tokens) = taken(&source.place(), Tokens::parse(&text))
        {
            access.replace(|loaded| loaded.tokens = tokens.clone());
        }
        if let Some((KeySource::File(source), expected)) = &mut self.sources.keys
            && let Some(text) = source.news().await
            && let Some(keys) = taken(&source.place(), Keys::parse(expected.clone(), &text))
        {
            access.replace(|loaded| loaded.keys = Some(keys.clone()));
        }
    }

    /// Fetches keys if it is time, or if they are wanted.
    async fn fetch(&mut self, is_wanted: bool) {
        let Some((KeySource::Url(fetcher), expected)) = &self.sources.keys else { return };
        if !is_wanted && Instant::now() < self.fetch_at {
            return;
        }
        let place = fetcher.place();
        let fetched =
            fetcher.fetch().await.map_err(|error| Flaw::new(chain(error.as_ref()).to_string()));
        let keys = fetched.and_then(|text| Keys::parse(expected.clone(), &text));
        let pause = if keys.is_ok() { FETCH_INTERVAL } else { FETCH_AGAIN_AFTER };
        self.fetch_at = Instant::now() + pause;
        // Keys that are the same forget no token that was found good with them.
        let known = self.access.0.loaded.load().keys.clone();
        let is_same = |keys: &Keys| known.as_ref().is_some_and(|known| known.is_same(keys));
        if !keys.as_ref().is_ok_and(is_same)
            && let Some(keys) = taken(&place, keys)
        {
            self.access.replace(|loaded| loaded.keys = Some(keys.clone()));
        }
        self.access.0.fetched.send_replace(Some(Instant::now()));
    }
}

/// Says what became of something that was read.
fn taken<T>(place: &str, read: Result<T, Flaw>) -> Option<Arc<T>> {
    match read {
        Ok(read) => {
            tracing::info!("{place} was read anew");
            Some(Arc::new(read))
        }
        Err(flaw) => {
            tracing::error!("{}; what was read before stays", flaw.of(place));
            None
        }
    }
}
