//! Which method needs which role.

use crate::calls::method::Method;
use serde::Deserialize;

/// What a policy grants to a caller in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Claims entities and keeps and ends its claims.
    Holder,
    /// Asks whether a write is authorized, for the stores that are written to.
    Verifier,
    /// Looks on.
    Observer,
    /// Revokes claims and signals entities.
    Operator,
}

impl Role {
    /// All of them.
    pub(super) const ALL: [Self; 4] =
        [Self::Holder, Self::Verifier, Self::Observer, Self::Operator];

    /// Its name in a policy, and in the refusal of a call for want of it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Verifier => "verifier",
            Self::Observer => "observer",
            Self::Operator => "operator",
        }
    }
}

/// What a caller needs for a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: who asks whether the service is well is not asked back. Balancers and orchestrators
    /// have no credentials.
    Nothing,
    /// To be known. What is not served is nobody's business either.
    Identity,
    /// A role in the tenant that the request names.
    Role(Role),
    /// A role in all tenants, granted by `*`: the answer is about all of them.
    RoleEverywhere(Role),
}

/// What a caller needs for a method.
pub(crate) const fn need(method: Method) -> Need {
    match method {
        Method::Mint
        | Method::Heartbeat
        | Method::HeartbeatBatch
        | Method::KeepAlive
        | Method::Done => Need::Role(Role::Holder),
        Method::AuthorizeWrite => Need::Role(Role::Verifier),
        Method::GetClaim
        | Method::ListClaims
        | Method::GetEntity
        | Method::ListClaimEvents
        | Method::WatchClaimEvents => Need::Role(Role::Observer),
        Method::RevokeClaim | Method::SignalEntity => Need::Role(Role::Operator),
        Method::GetReaperStatus => Need::RoleEverywhere(Role::Operator),
        Method::Reflection | Method::ReflectionAlpha | Method::Unknown => Need::Identity,
        Method::HealthCheck | Method::HealthWatch => Need::Nothing,
    }
}
