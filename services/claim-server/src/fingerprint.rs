//! A SHA-256 digest, by which secrets are kept and contents are told apart.

use sha2::{Digest, Sha256};
use std::fmt;

/// The digest of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// One that is written as 64 hexadecimal digits.
    pub(crate) fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if digits.len() != 64 || !digits.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_in_either_case_and_nothing_else_is() {
        // printf %s abc | sha256sum
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::parse(digits), Some(Fingerprint::of(b"abc")));
        assert_eq!(Fingerprint::parse(&digits.to_uppercase()), Some(Fingerprint::of(b"abc")));
        for wrong in [&digits[1..], "", &digits.replace('b', "g"), &digits.replace("ba", "+a")] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
