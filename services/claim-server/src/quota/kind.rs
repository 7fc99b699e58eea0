//! Kinds of calls, each of which has a bucket of its own: what a tenant begins must not eat up what it
//! needs to keep and to end what it has.

use crate::wire::events::EventWatch;
use crate::wire::request::AuthorizeWrite;
use claims::domain::{ClaimId, Done, EntityKey, Heartbeat, Mint};
use claims::store::{ClaimQuery, EventQuery};

/// Calls that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Mints and reads, and streams and watches when they are opened.
    Begin,
    /// Heartbeats and dones: whoever is kept from them loses claims, or keeps them for too long.
    Keep,
    /// AuthorizeWrite: whoever is kept from it cannot write. They come at the pace of writes.
    Authorize,
}

impl Kind {
    /// The kind of the calls to a path whose requests name their tenant in their first field.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/claim.v1.ClaimService/")? {
            "Mint" | "GetClaim" | "ListClaims" | "GetEntity" | "ListClaimEvents" => {
                Some(Self::Begin)
            }
            "Heartbeat" | "Done" => Some(Self::Keep),
            "AuthorizeWrite" => Some(Self::Authorize),
            _ => None,
        }
    }
}

/// A request that is counted. What operators do is not: they may have to stop a flood.
pub(crate) trait Counted {
    /// See [`Kind`].
    const KIND: Kind;
}

macro_rules! counted {
    ($($request:ty: $kind:ident),* $(,)?) => {
        $(impl Counted for $request {
            const KIND: Kind = Kind::$kind;
        })*
    };
}

counted! {
    Mint: Begin,
    ClaimId: Begin,
    ClaimQuery: Begin,
    EntityKey: Begin,
    EventQuery: Begin,
    EventWatch: Begin,
    Heartbeat: Keep,
    Done: Keep,
    AuthorizeWrite: Authorize,
}
