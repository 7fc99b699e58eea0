//! A caller: the names that its credentials prove, and how they were proven.

use super::names::{ANONYMOUS, CERTIFICATE, JWT, TOKEN, is_name};
use crate::fingerprint::Fingerprint;
use crate::peer::CertificateNames;
use std::sync::Arc;
use std::time::SystemTime;

/// Who calls. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    /// Never none; a certificate may prove several, and a grant to any of them is a grant.
    names: Vec<Arc<str>>,
    credential: Credential,
}

/// By what a caller was known: enough to say later whether that still holds.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// By nothing.
    None,
    /// By the certificate of its connection.
    Certificate,
    /// By a fixed token with that digest.
    Token(Fingerprint),
    /// By a JWT that was signed with that key.
    Jwt {
        /// The key.
        key: Fingerprint,
        /// When the JWT is over, with the leeway of clocks.
        expires_at: SystemTime,
    },
}

impl Caller {
    /// One without credentials.
    pub(super) fn anonymous() -> Self {
        Self::new(vec![ANONYMOUS.into()], Credential::None)
    }

    /// The one that a fixed token stands for.
    pub(super) fn of_token(name: &str, digest: Fingerprint) -> Self {
        Self::new(vec![format!("{TOKEN}{name}").into()], Credential::Token(digest))
    }

    /// The subject of a JWT; none if it cannot be a name.
    pub(super) fn of_jwt(subject: &str, key: Fingerprint, expires_at: SystemTime) -> Option<Self> {
        let name = || format!("{JWT}{subject}").into();
        is_name(subject).then(|| Self::new(vec![name()], Credential::Jwt { key, expires_at }))
    }

    /// The names of a certificate, URIs first; none if it has none that can be used. A URI is told
    /// from a DNS name by its colon, so neither can pass for the other.
    pub(super) fn of_certificate(names: &CertificateNames) -> Option<Self> {
        let uris = names.uris.iter().filter(|uri| uri.contains(':'));
        let dns = names.dns.iter().filter(|dns| !dns.contains([':', '/', '*']));
        let names: Vec<Arc<str>> = uris
            .chain(dns)
            .filter(|name| is_name(name))
            .map(|name| format!("{CERTIFICATE}{name}").into())
            .collect();
        (!names.is_empty()).then(|| Self::new(names, Credential::Certificate))
    }

    fn new(names: Vec<Arc<str>>, credential: Credential) -> Self {
        Self(Arc::new(Identity { names, credential }))
    }

    /// Whether it has no credentials, or none that were asked for.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self.credential(), Credential::None)
    }

    /// The name that logs and events tell.
    pub(crate) fn name(&self) -> &str {
        self.0.names.first().map_or(ANONYMOUS, |name| name)
    }

    /// The same, to be kept.
    pub(crate) fn actor(&self) -> Arc<str> {
        self.0.names.first().map_or_else(|| ANONYMOUS.into(), Clone::clone)
    }

    /// All that it is called.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().map(|name| &**name)
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// When its credentials are over; none if no time is set.
    pub(super) fn expires_at(&self) -> Option<SystemTime> {
        match self.credential() {
            Credential::Jwt { expires_at, .. } => Some(*expires_at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(uris: &[&str], dns: &[&str]) -> Option<Caller> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Caller::of_certificate(&CertificateNames { uris: owned(uris), dns: owned(dns) })
    }

    #[test]
    fn a_certificate_is_called_by_its_uris_and_then_by_its_dns_names() {
        let caller = certificate(&["spiffe://prod/runner"], &["runner.prod"]).unwrap();
        let names: Vec<_> = caller.names().collect();
        assert_eq!(names, ["cert:spiffe://prod/runner", "cert:runner.prod"]);
        assert_eq!(caller.name(), "cert:spiffe://prod/runner");
    }

    #[test]
    fn a_name_of_one_kind_never_equals_one_of_another() {
        let digest = Fingerprint::of(b"secret");
        let jwt = Caller::of_jwt("token:ci", digest, SystemTime::now()).unwrap();
        assert_eq!(jwt.name(), "jwt:token:ci");
        assert_ne!(jwt.name(), Caller::of_token("ci", digest).name());
        let anonymous = Caller::of_jwt("anonymous", digest, SystemTime::now()).unwrap();
        assert_ne!(anonymous.name(), Caller::anonymous().name());
        // A URI that looks like a DNS name, and the other way round.
        assert!(certificate(&["runner.prod"], &["spiffe://prod/runner", "*.prod"]).is_none());
    }

    #[test]
    fn what_cannot_be_printed_in_one_word_is_no_name() {
        let digest = Fingerprint::of(b"secret");
        for subject in ["", "a b", "a\nb", "a\u{1b}[2J", &"a".repeat(257)] {
            assert!(Caller::of_jwt(subject, digest, SystemTime::now()).is_none(), "{subject:?}");
        }
        assert!(certificate(&["spiffe://a b"], &[""]).is_none());
    }
}
