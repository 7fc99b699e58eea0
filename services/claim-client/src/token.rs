//! The write token: a secret that goes to the store and nowhere else.

use std::fmt;

/// Authorizes writes to a claim's stream while the claim is current and its lease runs. It has no
/// `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteToken(String);

impl WriteToken {
    pub(crate) fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret, to be sent with a write. Do not log or keep it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WriteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteToken(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_a_token_shows_nothing_of_it() {
        let shown = format!("{:?}", WriteToken::new("2lVC70l3N1".to_owned()));
        assert!(!shown.contains("2l") && !shown.contains("10"), "{shown}");
    }
}
