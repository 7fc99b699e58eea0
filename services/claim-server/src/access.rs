//! Who calls, and what they may do.
//!
//! * [`caller`]: a caller, by the names that its credentials prove.
//! * [`tokens`], [`jwt`]: bearer tokens, fixed ones and those of an issuer. Certificates come with the
//!   connection ([`crate::peer`]).
//! * [`policy`]: who may do what in which tenant. What it does not grant is refused.
//! * [`roles`]: which method needs which role.
//! * [`call`]: one call as this module sees it: who calls what. Handlers ask it.
//! * [`audit`]: what operators did and who was refused, one line of log each.
//! * [`settings`], [`reload`], [`source`], [`fetch`]: where all of that is read from, at start and
//!   whenever it changes.
//!
//! Identity is established before a message is decoded; the role is checked when the request is known
//! to be well-formed, before the database is asked. So neither the answer to a caller without the role
//! nor the time that it takes depends on what there is in the tenant. Mints that an overloaded server
//! turns away are turned away before that: that answer says nothing of any tenant.
//!
//! What was loaded is swapped as a whole. A call goes by what was loaded when it asked, a stream always
//! by the latest.

mod audit;
mod call;
mod caller;
mod fetch;
mod flaw;
mod jwt;
mod names;
mod policy;
mod refused;
mod reload;
mod roles;
mod settings;
mod signature;
mod tokens;

pub(crate) use audit::Act;
pub(crate) use call::{Asked, Call, Standing};
pub(crate) use caller::Caller;
pub(crate) use refused::Refused;
pub(crate) use reload::Reloader;
pub(crate) use roles::{Need, Role, need};
pub use settings::{AccessConfig, AccessSettings};

use crate::fingerprint::Fingerprint;
use crate::peer::Peer;
use arc_swap::ArcSwap;
use audit::Audit;
use caller::Credential;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jwt::Keys;
use policy::Policy;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::Tokens;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// How soon after keys were fetched from their issuer they are fetched again because a token names one
/// that is not among them. Anybody can name a key, and the issuer is not to feel it.
const KEYS_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a call waits for keys that are fetched because of it.
const KEYS_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// All by which a caller is judged. Cheap to clone.
#[derive(Clone, Debug)]
struct Loaded {
    policy: Arc<Policy>,
    tokens: Arc<Tokens>,
    /// None if no issuer is configured.
    keys: Option<Arc<Keys>>,
    /// Whether callers are asked for credentials at all.
    asks: bool,
}

impl Loaded {
    /// Nobody is asked, and everybody may do everything.
    fn open() -> Self {
        Self { policy: Arc::new(Policy::open()), tokens: Arc::default(), keys: None, asks: false }
    }
}

/// Who may do what, as it stands now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: ArcSwap<Loaded>,
    /// Changes with what is loaded.
    changes: watch::Sender<()>,
    /// When keys were last fetched from their issuer, well or not.
    fetched: watch::Sender<Option<Instant>>,
    /// Asks for them.
    wanted: Notify,
    anonymous: Caller,
    audit: Audit,
}

impl Access {
    /// What the settings say, as it was read when they were checked.
    pub(crate) fn new(config: &AccessConfig) -> Self {
        Self(Arc::new(Inner {
            loaded: ArcSwap::from_pointee(config.loaded.clone()),
            changes: watch::Sender::new(()),
            fetched: watch::Sender::new(None),
            wanted: Notify::new(),
            anonymous: Caller::anonymous(),
            audit: Audit::default(),
        }))
    }

    /// Everybody may do everything.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self::new(&AccessConfig::default())
    }

    /// That policy, and callers that are known by certificates alone.
    #[cfg(test)]
    pub(crate) fn with_policy(text: &str) -> Self {
        let policy = Policy::parse(text).unwrap_or_else(|flaw| panic!("{}", flaw.of("policy")));
        let loaded = Loaded { policy: Arc::new(policy), asks: true, ..Loaded::open() };
        Self::new(&AccessConfig { loaded, ..AccessConfig::default() })
    }

    /// Who calls with these headers over that connection. A bearer token counts more than a
    /// certificate, and one that is no good is not made up for by a good certificate.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Caller, Refused> {
        let loaded = self.0.loaded.load();
        if !loaded.asks {
            return Ok(self.0.anonymous.clone());
        }
        let Some(token) = bearer(headers)? else {
            let names = peer.and_then(|peer| peer.certificate.as_deref());
            if let Some(caller) = names.and_then(Caller::of_certificate) {
                return Ok(caller);
            }
            let may_be_anonymous = loaded.policy.knows(&self.0.anonymous);
            return may_be_anonymous
                .then(|| self.0.anonymous.clone())
                .ok_or(Refused::NoCredentials);
        };
        let digest = Fingerprint::of(token);
        if let Some(caller) = loaded.tokens.caller(&digest) {
            return Ok(caller.clone());
        }
        let Some(keys) = &loaded.keys else { return Err(Refused::UnknownToken) };
        match keys.caller(&digest, token, SystemTime::now()) {
            Err(Refused::UnknownKey) => {}
            known => return known,
        }
        drop(loaded);
        self.fetch_keys().await;
        let loaded = self.0.loaded.load();
        let keys = loaded.keys.as_ref().ok_or(Refused::UnknownToken)?;
        keys.caller(&digest, token, SystemTime::now())
    }

    /// Has the keys fetched anew, unless that was just done, and waits for them for a while.
    async fn fetch_keys(&self) {
        let mut fetched = self.0.fetched.subscribe();
        let Some(last) = *fetched.borrow_and_update() else { return };
        if last.elapsed() >= KEYS_PAUSE {
            self.0.wanted.notify_one();
            // If they do not come, the ones that are there decide.
            let _ = timeout(KEYS_PATIENCE, fetched.changed()).await;
        }
    }

    /// Whether the credentials by which a caller was known are still good. Those of a connection are
    /// as long as it lasts.
    fn still_knows(&self, caller: &Caller) -> bool {
        let loaded = self.0.loaded.load();
        match caller.credential() {
            Credential::None => !loaded.asks || loaded.policy.knows(caller),
            Credential::Certificate => true,
            Credential::Token(digest) => {
                loaded.tokens.caller(digest).is_some_and(|known| known.name() == caller.name())
            }
            Credential::Jwt { key, expires_at } => {
                let is_known = loaded.keys.as_ref().is_some_and(|keys| keys.has(key));
                is_known && SystemTime::now() < *expires_at
            }
        }
    }

    /// Whether callers are asked for credentials, which does not change.
    fn asks(&self) -> bool {
        self.0.loaded.load().asks
    }

    fn policy(&self) -> Arc<Policy> {
        self.0.loaded.load().policy.clone()
    }

    fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Notes who was not let in.
    pub(crate) fn turned_away(&self, peer: Option<&Peer>, method: &'static str, why: Refused) {
        self.0.audit.unauthenticated(peer.map(|peer| peer.address), method, why);
    }

    /// From now on that is what counts.
    fn replace(&self, change: impl Fn(&mut Loaded)) {
        self.0.loaded.rcu(|loaded| {
            let mut next = Loaded::clone(loaded);
            change(&mut next);
            next
        });
        self.0.changes.send_replace(());
    }
}

/// The token of an `authorization` header; none without the header.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Which of them would count is anybody's guess.
        return Err(Refused::NoBearer);
    }
    let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len()).unwrap_or_default();
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty();
    is_bearer.then_some(Some(token)).ok_or(Refused::NoBearer)
}

#[cfg(test)]
mod tests;
