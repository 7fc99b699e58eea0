//! Bearer tokens of an issuer, JWTs, checked against its public keys (JWKS, RFC 7517). A caller is
//! what the issuer says in `sub`; of the tokens that Kubernetes gives to service accounts that is
//! `system:serviceaccount:namespace:name`.
//!
//! A token counts if all of this holds: its algorithm is among those of the settings, none of which
//! has a secret key; the key that it names is one of the issuer's, and made for that algorithm; the
//! signature is right; `iss` and `aud` are those of the settings; `exp` has not come and `nbf`, if
//! there is one, has; `sub` can be a name. A token that was found good is remembered by its digest
//! until it is over or the keys change, so that a signature is not checked with every call.

use super::caller::Caller;
use super::flaw::Flaw;
use super::refused::Refused;
use super::signature::{self, PUBLIC_KEY_ALGORITHMS};
use crate::fingerprint::Fingerprint;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the clocks of an issuer and of a server may be apart.
const LEEWAY: Duration = Duration::from_secs(30);
/// Most tokens that are remembered, some 10 MB of them. Beyond it all are forgotten and checked again.
const REMEMBERED_MAX: usize = 50_000;
/// Most bytes of a token that is looked at. Those of Kubernetes have some 1000, and the headers of a
/// call cannot have more than 16 KiB in all.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys of an issuer.
const KEYS_MAX: usize = 100;

/// What a token has to say, by the settings.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
    /// Never one with a secret key.
    pub(super) algorithms: Vec<Algorithm>,
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct Keys {
    expected: Expected,
    keys: Vec<Key>,
    remembered: RwLock<HashMap<Fingerprint, Caller>>,
}

/// A key that tokens can be signed with.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
    print: Fingerprint,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
}

impl Keys {
    /// None yet: all tokens are signed by a key that is unknown.
    pub(super) fn none(expected: Expected) -> Self {
        signature::use_ring();
        Self { expected, keys: vec![], remembered: RwLock::default() }
    }

    /// The keys of a set that can sign with one of the expected algorithms. The others are passed over,
    /// as the standard has it; a set without any is refused.
    pub(super) fn parse(expected: Expected, text: &str) -> Result<Self, Flaw> {
        let set: KeySet = serde_json::from_str(text)
            .map_err(|error| Flaw::in_line(error.line(), format!("is no key set: {error}")))?;
        if set.keys.len() > KEYS_MAX {
            return Err(Flaw::new(format!("has {} keys, more than {KEYS_MAX}", set.keys.len())));
        }
        let keys: Vec<Key> =
            set.keys.iter().filter_map(|key| Key::of(key, &expected.algorithms)).collect();
        if keys.is_empty() {
            return Err(Flaw::new("has no key for signatures by CLAIM_JWT_ALGORITHMS"));
        }
        Ok(Self { keys, ..Self::none(expected) })
    }

    /// Whose token that is.
    pub(super) fn caller(
        &self,
        digest: &Fingerprint,
        token: &[u8],
        now: SystemTime,
    ) -> Result<Caller, Refused> {
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = remembered.get(digest)
            && caller.expires_at().is_some_and(|end| now < end)
        {
            return Ok(caller.clone());
        }
        drop(remembered);
        let caller = self.verified(token)?;
        if caller.expires_at().is_none_or(|end| end <= now) {
            // Within the last second, which the library does not count.
            return Err(Refused::Expired);
        }
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(*digest, caller.clone());
        Ok(caller)
    }

    /// Whether that key is one of them.
    pub(super) fn has(&self, print: &Fingerprint) -> bool {
        self.keys.iter().any(|key| key.print == *print)
    }

    /// Whether those are the same keys.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let prints = self.keys.iter().map(|key| key.print);
        prints.eq(other.keys.iter().map(|key| key.print))
    }

    fn verified(&self, token: &[u8]) -> Result<Caller, Refused> {
        if token.len() > TOKEN_BYTES_MAX || token.iter().filter(|byte| **byte == b'.').count() != 2
        {
            return Err(Refused::UnknownToken);
        }
        let header = decode_header(token).map_err(|_| Refused::Malformed)?;
        if !self.expected.algorithms.contains(&header.alg) {
            return Err(Refused::Algorithm);
        }
        if header.crit.is_some() {
            // Something that has to be understood, and is not.
            return Err(Refused::Malformed);
        }
        let mut why = Refused::UnknownKey;
        for key in self.named(header.kid.as_deref()) {
            if !key.algorithms.contains(&header.alg) {
                why = Refused::Algorithm;
                continue;
            }
            match self.verified_by(key, header.alg, token) {
                Err(Refused::Signature) => why = Refused::Signature,
                verified => return verified,
            }
        }
        Err(why)
    }

    /// The keys that a token can mean: those of that id, or the only one.
    fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let is_only = self.keys.len() == 1;
        self.keys.iter().filter(move |key| match id {
            Some(_) => key.id.as_deref() == id,
            None => is_only,
        })
    }

    fn verified_by(
        &self,
        key: &Key,
        algorithm: Algorithm,
        token: &[u8],
    ) -> Result<Caller, Refused> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.expected.issuer]);
        validation.set_audience(&[&self.expected.audience]);
        let claims = decode::<Claims>(token, &key.public, &validation);
        let claims = claims.map_err(|error| why(error.kind()))?.claims;
        let expires_at = Duration::try_from_secs_f64(claims.exp)
            .ok()
            .and_then(|exp| UNIX_EPOCH.checked_add(exp)?.checked_add(LEEWAY));
        let expires_at = expires_at.ok_or(Refused::Malformed)?;
        Caller::of_jwt(&claims.sub, key.print, expires_at).ok_or(Refused::Subject)
    }
}

impl Key {
    /// A key of a set; none if it cannot sign with one of these.
    fn of(key: &serde_json::Value, accepted: &[Algorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        let is_to_sign = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let named = key.get("alg").and_then(serde_json::Value::as_str);
        let can = |algorithm: &Algorithm| {
            let is_named = named.is_none_or(|named| named.parse() == Ok(*algorithm));
            is_named && fits(&jwk.algorithm, *algorithm) && accepted.contains(algorithm)
        };
        let algorithms: Vec<_> = PUBLIC_KEY_ALGORITHMS.into_iter().filter(can).collect();
        if !is_to_sign || algorithms.is_empty() {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        let print = Fingerprint::of(key.to_string().as_bytes());
        Some(Self { id: jwk.common.key_id, algorithms, public, print })
    }
}

/// Whether a key is one of that algorithm.
fn fits(key: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    match key {
        AlgorithmParameters::RSA(_) => algorithm.family() == AlgorithmFamily::Rsa,
        AlgorithmParameters::EllipticCurve(key) => match algorithm {
            Algorithm::ES256 => key.curve == EllipticCurve::P256,
            Algorithm::ES384 => key.curve == EllipticCurve::P384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            key.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        // Secret keys, and what is not known here.
        _ => false,
    }
}

fn why(error: &ErrorKind) -> Refused {
    match error {
        ErrorKind::InvalidSignature => Refused::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Refused::Algorithm,
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::ImmatureSignature => Refused::NotYet,
        ErrorKind::InvalidIssuer => Refused::Issuer,
        ErrorKind::InvalidAudience => Refused::Audience,
        _ => Refused::Malformed,
    }
}

#[cfg(test)]
mod tests;
