//! The last refusal on a connection for a tenant's sake.

use crate::fingerprint::Fingerprint;
use claims::domain::TenantId;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a refusal is remembered after the last one like it.
const FRESH: Duration = Duration::from_secs(10);

/// Why calls of a tenant were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many of its calls wait.
    Overloaded,
    /// It has sent too many.
    Exceeded,
}

/// Tells credentials from others without keeping them.
fn fingerprint(authorization: &HeaderValue) -> Fingerprint {
    Fingerprint::of(authorization.as_bytes())
}

/// The last refusal.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) tenant: TenantId,
    pub(super) cause: Cause,
    /// The credentials of the call that was refused, beside those of the connection.
    credentials: Option<Fingerprint>,
    at: Instant,
}

/// What a connection remembers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// Something has been refused on it, so that there may be something to find.
    has_refused: AtomicBool,
    last: Mutex<Option<Refused>>,
}

impl Connection {
    /// What its memory is to one call with these headers.
    pub(crate) fn memory(&self, headers: &HeaderMap) -> Memory {
        let mut authorization = headers.get(AUTHORIZATION).cloned();
        if let Some(authorization) = &mut authorization {
            // It is not to be printed.
            authorization.set_sensitive(true);
        }
        Memory { connection: self.clone(), authorization }
    }

    pub(super) fn has_refused(&self) -> bool {
        self.0.has_refused.load(Ordering::Relaxed)
    }

    /// The last refusal, if it is fresh and was of a call with the same credentials.
    pub(super) fn last(&self, headers: &HeaderMap, now: Instant) -> Option<Refused> {
        let mut last = self.lock();
        let is_stale = |refused: &Refused| now.saturating_duration_since(refused.at) > FRESH;
        if last.as_ref().is_some_and(is_stale) {
            *last = None;
            self.0.has_refused.store(false, Ordering::Relaxed);
        }
        let credentials = headers.get(AUTHORIZATION).map(fingerprint);
        last.clone().filter(|refused| refused.credentials == credentials)
    }

    /// Another one like the last.
    pub(super) fn again(&self, now: Instant) {
        if let Some(last) = self.lock().as_mut() {
            last.at = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refused>> {
        // Nothing panics in between that leaves it half-done.
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of a connection, as one of its calls writes to it; among the extensions of the request.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    connection: Connection,
    authorization: Option<HeaderValue>,
}

impl Memory {
    /// The call was refused because too many of its tenant wait.
    pub(crate) fn overloaded(&self, tenant: &TenantId) {
        self.refused(tenant, Cause::Overloaded);
    }

    /// The call was refused because its tenant has sent too many.
    pub(crate) fn exceeded(&self, tenant: &TenantId) {
        self.refused(tenant, Cause::Exceeded);
    }

    fn refused(&self, tenant: &TenantId, cause: Cause) {
        let (tenant, credentials) = (tenant.clone(), self.authorization.as_ref().map(fingerprint));
        let refused = Refused { tenant, cause, credentials, at: Instant::now() };
        *self.connection.lock() = Some(refused);
        self.connection.0.has_refused.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::parse("a").unwrap()
    }

    fn bearer(token: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(token))])
    }

    #[test]
    fn a_refusal_is_found_by_calls_with_the_same_credentials_only() {
        let connection = Connection::default();
        assert!(!connection.has_refused());
        connection.memory(&bearer("Bearer one")).exceeded(&tenant());
        let now = Instant::now();
        assert!(connection.has_refused());
        let last = connection.last(&bearer("Bearer one"), now).unwrap();
        assert_eq!((last.tenant, last.cause), (tenant(), Cause::Exceeded));
        assert!(connection.last(&bearer("Bearer other"), now).is_none());
        assert!(connection.last(&HeaderMap::new(), now).is_none());
        connection.memory(&HeaderMap::new()).overloaded(&tenant());
        assert_eq!(connection.last(&HeaderMap::new(), now).unwrap().cause, Cause::Overloaded);
        assert!(connection.last(&bearer("Bearer one"), now).is_none(), "the last one only");
    }

    #[test]
    fn credentials_are_neither_kept_nor_printed() {
        let connection = Connection::default();
        let memory = connection.memory(&bearer("Bearer secret"));
        memory.exceeded(&tenant());
        let printed = format!("{memory:?} {connection:?}");
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[test]
    fn a_refusal_is_forgotten_unless_there_are_more() {
        let connection = Connection::default();
        let none = HeaderMap::new();
        connection.memory(&none).exceeded(&tenant());
        let later = Instant::now() + FRESH;
        connection.again(later);
        assert!(connection.last(&none, later + FRESH).is_some());
        assert!(connection.last(&none, later + FRESH + Duration::from_millis(1)).is_none());
        assert!(!connection.has_refused());
    }
}
