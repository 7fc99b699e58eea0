//! The write token: a secret shown once by mint. Only its SHA-256 digest is ever kept (I12).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Random bytes in a write token; 43 characters as base64url.
pub const WRITE_TOKEN_BYTES: usize = 32;

/// A write token as a caller holds it. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteToken(String);

impl WriteToken {
    /// A token from fresh random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; WRITE_TOKEN_BYTES]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a caller presented; any content, since a wrong token is refused, not malformed.
    #[must_use]
    pub fn presented(value: String) -> Self {
        Self(value)
    }

    /// Hands the secret out; the one place is the answer to a mint.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored and compared.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for WriteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteToken(<redacted>)")
    }
}

/// SHA-256 of a write token.
#[expect(
    clippy::derived_hash_with_manual_eq,
    reason = "equality is the same as the derived one, in constant time"
)]
#[derive(Clone, Copy, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// A digest as it was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time (W1): how long a comparison takes tells nothing about the secret.
impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(<redacted>)")
    }
}
