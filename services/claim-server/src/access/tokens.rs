//! Fixed bearer tokens. A file has one on each line, as its SHA-256 digest and the name of who holds
//! it, `printf %s "$TOKEN" | sha256sum` with a name in place of `-`:
//!
//! ```text
//! # may be used until the end of the month
//! ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ci
//! ```
//!
//! A name may stand on several lines: that is how a token is replaced without a moment without one.
//! Tokens are looked up by their digest. How long that takes may tell how a digest begins, of which a
//! caller knows no token: to steer it, it would have to turn SHA-256 round. So it need not take the
//! same time for all, and is one look however many there are.

use super::caller::Caller;
use super::flaw::Flaw;
use super::names::is_name;
use crate::fingerprint::Fingerprint;
use std::collections::HashMap;

/// The tokens that are known.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<Fingerprint, Caller>);

impl Tokens {
    /// Reads the lines of a file. One without any token is refused: it is more likely to be half
    /// written than to withdraw them all.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut tokens = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |problem: &str| Flaw::in_line(number, problem);
            let (digits, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let Some(digest) = Fingerprint::parse(digits) else {
                // Not repeated: it might be the token itself.
                return Err(wrong("must begin with a SHA-256 digest, 64 hexadecimal digits"));
            };
            let name = name.trim_start();
            if !is_name(name) {
                return Err(wrong("must have a name of one printable word behind the digest"));
            }
            if tokens.insert(digest, Caller::of_token(name, digest)).is_some() {
                return Err(wrong("has a digest that stands on an earlier line"));
            }
        }
        if tokens.is_empty() {
            return Err(Flaw::new("has no token"));
        }
        Ok(Self(tokens))
    }

    /// Whose token that is.
    pub(super) fn caller(&self, digest: &Fingerprint) -> Option<&Caller> {
        self.0.get(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const OTHER: &str = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";

    #[test]
    fn a_token_is_known_by_its_digest_and_its_holder_by_name() {
        let text = format!("# two of one holder\n{DIGEST}  ci\n\n{OTHER}\tci\n");
        let tokens = Tokens::parse(&text).unwrap();
        for token in [&b"abc"[..], b"def"] {
            let caller = tokens.caller(&Fingerprint::of(token)).unwrap();
            assert_eq!(caller.name(), "token:ci");
        }
        assert!(tokens.caller(&Fingerprint::of(b"ab")).is_none());
    }

    #[test]
    fn a_wrong_line_is_named_and_never_repeated() {
        for (text, told) in [
            (format!("{DIGEST} ci\nmy-secret-token ci"), "f:2: must begin with a SHA-256 digest"),
            (DIGEST.to_owned(), "f:1: must have a name"),
            (format!("{DIGEST} two words"), "f:1: must have a name"),
            (format!("{DIGEST} a\n{DIGEST} b"), "f:2: has a digest that stands"),
            ("# none\n".to_owned(), "f: has no token"),
        ] {
            let flaw = Tokens::parse(&text).unwrap_err().of("f");
            assert!(flaw.starts_with(told), "{flaw}");
            assert!(!flaw.contains("my-secret-token"), "{flaw}");
        }
    }
}
