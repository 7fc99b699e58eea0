//! Names of callers, and patterns of names.
//!
//! A name begins with how it was proven, so that no issuer and no authority can give out a name of
//! another kind: `cert:spiffe://prod/runner`, `token:ci`, `jwt:system:serviceaccount:fleet:runner`,
//! `anonymous`.

use claims::domain::TenantId;

/// The name of a caller without credentials.
pub(super) const ANONYMOUS: &str = "anonymous";
/// How the names of the others begin.
pub(super) const CERTIFICATE: &str = "cert:";
pub(super) const TOKEN: &str = "token:";
pub(super) const JWT: &str = "jwt:";

/// Most bytes of a name without its kind: as many as of any other name. It is kept as the actor of
/// what an operator does.
const NAME_BYTES_MAX: usize = 256;

/// Whether something can stand behind a kind: printable, in one word, and not too long.
pub(super) fn is_name(value: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&value.len());
    fits && !value.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// A name, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This one.
    Exact(Box<str>),
    /// All that begin so; every one if it is empty.
    Prefix(Box<str>),
}

impl Pattern {
    /// A pattern as the policy writes it: `*` at the end stands for anything, and nowhere else.
    fn parse(written: &str) -> Result<Self, String> {
        let (stem, is_prefix) = match written.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (written, false),
        };
        if stem.contains('*') {
            return Err(format!("{written:?}: * can only be the last character"));
        }
        Ok(if is_prefix { Self::Prefix(stem.into()) } else { Self::Exact(stem.into()) })
    }

    /// One of callers: it says how they are known.
    pub(super) fn of_callers(written: &str) -> Result<Self, String> {
        let pattern = Self::parse(written)?;
        let stem = pattern.stem();
        let rest = [CERTIFICATE, TOKEN, JWT].iter().find_map(|kind| stem.strip_prefix(kind));
        let is_right = match (&pattern, rest) {
            (Self::Exact(name), None) => &**name == ANONYMOUS,
            (Self::Prefix(_), None) => false,
            (Self::Exact(_), Some(rest)) => is_name(rest),
            (Self::Prefix(_), Some(rest)) => rest.is_empty() || is_name(rest),
        };
        if is_right {
            return Ok(pattern);
        }
        Err(format!(
            "{written:?} is no caller: must be {ANONYMOUS}, or a name that begins with \
             {CERTIFICATE}, {TOKEN} or {JWT}"
        ))
    }

    /// One of tenants.
    pub(super) fn of_tenants(written: &str) -> Result<Self, String> {
        let pattern = Self::parse(written)?;
        match (&pattern, pattern.stem()) {
            (Self::Prefix(_), "") => Ok(pattern),
            (_, stem) => match TenantId::parse(stem) {
                Ok(_) => Ok(pattern),
                Err(invalid) => Err(format!("{written:?} is no tenant: {}", invalid.problem)),
            },
        }
    }

    /// Whether a name is one of them.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }

    /// Whether every name is.
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::Prefix(prefix) if prefix.is_empty())
    }

    fn stem(&self) -> &str {
        match self {
            Self::Exact(stem) | Self::Prefix(stem) => stem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_without_its_kind_is_none() {
        for written in ["ci", "*", "", "spiffe://prod/runner", "system:serviceaccount:a:b", "cert:"]
        {
            assert!(Pattern::of_callers(written).is_err(), "{written}");
        }
        for written in ["token:ci", "cert:spiffe://prod/*", "jwt:system:*", "cert:*", "anonymous"] {
            assert!(Pattern::of_callers(written).is_ok(), "{written}");
        }
        // Nobody's name begins so, but whoever writes it may think so.
        assert!(Pattern::of_callers("anonymous*").is_err());
        assert!(Pattern::of_callers("token:a b").is_err());
    }

    #[test]
    fn a_star_in_the_middle_is_refused_and_no_wildcard() {
        for written in ["acme-*-eu", "*acme", "**"] {
            assert!(Pattern::of_tenants(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_pattern_matches_what_it_says_and_nothing_else() {
        let exact = Pattern::of_tenants("acme").unwrap();
        assert!(exact.matches("acme") && !exact.matches("acme-eu") && !exact.matches("acm"));
        let prefix = Pattern::of_tenants("acme-*").unwrap();
        assert!(prefix.matches("acme-eu") && prefix.matches("acme-") && !prefix.matches("acme"));
        let all = Pattern::of_tenants("*").unwrap();
        assert!(all.matches("acme") && all.is_all() && !prefix.is_all());
    }
}
