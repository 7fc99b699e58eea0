//! Why a caller is not known. Only the log tells: whoever tries tokens learns nothing from the answer.

use std::fmt;

/// Why credentials do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are none, and nobody may come without.
    NoCredentials,
    /// The header is not one `Bearer` token.
    NoBearer,
    /// No token is known by that digest, and it is no JWT.
    UnknownToken,
    /// It looks like a JWT and is none.
    Malformed,
    /// Its algorithm is not among those that are accepted.
    Algorithm,
    /// None of the issuer's keys is the one that it names.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// It is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// Somebody else issued it.
    Issuer,
    /// It was issued for somebody else.
    Audience,
    /// Its subject cannot be a name.
    Subject,
    /// What was good when a stream began is no longer.
    Withdrawn,
}

impl Refused {
    /// In a few words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "no credentials",
            Self::NoBearer => "the authorization is not one bearer token",
            Self::UnknownToken => "the token is unknown",
            Self::Malformed => "the JWT is malformed or lacks a claim",
            Self::Algorithm => "the algorithm of the JWT is not accepted",
            Self::UnknownKey => "the key of the JWT is unknown",
            Self::Signature => "the signature of the JWT is wrong",
            Self::Expired => "the JWT has expired",
            Self::NotYet => "the JWT is not valid yet",
            Self::Issuer => "the JWT is of another issuer",
            Self::Audience => "the JWT is for another audience",
            Self::Subject => "the subject of the JWT is no name",
            Self::Withdrawn => "the credentials have expired or were withdrawn",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
