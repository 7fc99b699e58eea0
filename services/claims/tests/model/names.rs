//! The numbers of the model as the names of the domain. Made once, since a name is shared and a
//! state is looked at millions of times.

use claims::domain::{
    Authority, ClaimId, ConsumerId, EntityKey, EntityUrl, Epoch, LeaseTtl, Liveness, RequestId,
    RunnerId, StreamPath, TenantId, Timestamp, TokenDigest,
};
use std::time::Duration;

/// The step of time. Every length of the model is a whole number of it, so that each bound is met
/// exactly, and missed by one step on either side. It is also what a signature may be old (R6).
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// Every decision is taken at this moment; it is the rest of the world that grows older.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);
/// Ticks of a lease.
pub(crate) const LEASE_TICKS: i16 = 2;
/// Ticks from a mint to the ceiling of its claim, if it has one: one and a half leases.
pub(crate) const CEILING_TICKS: i16 = 3;
/// Ticks for which the reaper leaves a takeable claim alone.
pub(crate) const REAP_GRACE_TICKS: i16 = 1;
/// Ticks after an outage for which claims are protected that were last heard of before it.
pub(crate) const OUTAGE_GRACE_TICKS: i16 = 2;

/// A number of steps of time.
pub(crate) fn ticks(count: i16) -> Duration {
    TICK * u32::try_from(count.max(0)).expect("not negative")
}

/// The moment so many steps from now; negative ones have passed.
pub(crate) fn at(from_now: i16) -> Timestamp {
    if from_now < 0 { NOW - ticks(-from_now) } else { NOW + ticks(from_now) }
}

/// How many steps from now a moment lies; negative ones have passed.
pub(crate) fn from_now(moment: Timestamp) -> i16 {
    let tick = i64::try_from(TICK.as_micros()).expect("a short time");
    let steps = (moment.unix_micros() - NOW.unix_micros()).div_euclid(tick);
    i16::try_from(steps).expect("a moment near now")
}

/// Who asks twice: which of two mints of one identity come from one caller (M2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Caller {
    /// Carries a request id of its own.
    Named,
    /// Carries another request id, on another machine.
    Other,
    /// Carries none, so that its runner id tells; it runs where `Named` runs.
    Unnamed,
}

const CONSUMERS: [&str; 3] = ["w0", "w1", "w2"];
const ENTITIES: [&str; 2] = ["/chat/a", "/chat/b"];
/// The first is this service, which issues epochs itself.
const AUTHORITIES: [&str; AUTHORITY_COUNT] = ["", "sub1", "sub2"];
/// Authorities, this service included.
pub(crate) const AUTHORITY_COUNT: usize = 3;

/// The names by number.
pub(crate) struct Names {
    tenant: TenantId,
    consumers: Vec<ConsumerId>,
    entities: Vec<EntityKey>,
    streams: Vec<[StreamPath; 2]>,
    authorities: Vec<Authority>,
    requests: [RequestId; 3],
    runners: [RunnerId; 2],
    /// The length of every claim's lease.
    pub(crate) ttl: LeaseTtl,
    /// What a heartbeat may ask for instead.
    pub(crate) short_ttl: LeaseTtl,
}

impl Names {
    pub(crate) fn new() -> Self {
        let tenant = TenantId::parse_or_default("").expect("a tenant");
        let url = |name: &str| EntityUrl::parse(name).expect("an entity");
        let stream = |name: &str, segment: &str| {
            StreamPath::parse(&format!("{name}/{segment}")).expect("a stream")
        };
        Self {
            consumers: CONSUMERS.map(|name| ConsumerId::parse(name).expect("a consumer")).to_vec(),
            entities: ENTITIES
                .map(|name| EntityKey { tenant: tenant.clone(), url: url(name) })
                .to_vec(),
            streams: ENTITIES.map(|name| [stream(name, "main"), stream(name, "log")]).to_vec(),
            authorities: AUTHORITIES
                .map(|name| Authority::parse(name).expect("an authority"))
                .to_vec(),
            requests: ["q", "x", ""].map(|name| RequestId::parse(name).expect("a request")),
            runners: ["here", "there"].map(|name| RunnerId::parse(name).expect("a runner")),
            ttl: LeaseTtl::parse(ticks(LEASE_TICKS)).expect("a length of lease"),
            short_ttl: LeaseTtl::parse(TICK).expect("a length of lease"),
            tenant,
        }
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant.clone()
    }

    pub(crate) fn consumer(&self, number: u8) -> ConsumerId {
        self.consumers[usize::from(number)].clone()
    }

    pub(crate) fn consumer_number(&self, consumer: &ConsumerId) -> u8 {
        number_of(&self.consumers, consumer)
    }

    pub(crate) fn entity(&self, number: u8) -> EntityKey {
        self.entities[usize::from(number)].clone()
    }

    pub(crate) fn entity_number(&self, entity: &EntityKey) -> u8 {
        number_of(&self.entities, entity)
    }

    /// The stream that claims of an entity write to, or another one of it.
    pub(crate) fn stream(&self, entity: u8, other: bool) -> StreamPath {
        self.streams[usize::from(entity)][usize::from(other)].clone()
    }

    pub(crate) fn authority(&self, number: u8) -> Authority {
        self.authorities[usize::from(number)].clone()
    }

    pub(crate) fn authority_number(&self, authority: &Authority) -> u8 {
        number_of(&self.authorities, authority)
    }

    pub(crate) fn request(&self, caller: Caller) -> RequestId {
        let number = match caller {
            Caller::Named => 0,
            Caller::Other => 1,
            Caller::Unnamed => 2,
        };
        self.requests[number].clone()
    }

    pub(crate) fn runner(&self, caller: Caller) -> RunnerId {
        self.runners[usize::from(caller == Caller::Other)].clone()
    }

    /// The caller that minted a claim with this request id.
    pub(crate) fn caller(&self, request: &RequestId) -> Caller {
        [Caller::Named, Caller::Other, Caller::Unnamed]
            [usize::from(number_of(&self.requests, request))]
    }

    pub(crate) fn claim(&self, (consumer, epoch): (u8, u8)) -> ClaimId {
        ClaimId { tenant: self.tenant(), consumer: self.consumer(consumer), epoch: epoch_of(epoch) }
    }
}

/// The epoch of a number from 1 on.
pub(crate) fn epoch_of(number: u8) -> Epoch {
    Epoch::parse(i64::from(number)).expect("an epoch")
}

/// The token handed out with the so-many-th accepted mint of an entity; number 0 never is.
pub(crate) fn token(entity: u8, number: u8) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&[entity, number]);
    TokenDigest::from_bytes(bytes)
}

/// The number of a token.
pub(crate) fn token_number(token: &TokenDigest) -> u8 {
    token.as_bytes()[1]
}

fn number_of<T: PartialEq>(names: &[T], name: &T) -> u8 {
    let place = names.iter().position(|one| one == name).expect("a name of the model");
    u8::try_from(place).expect("few names")
}

/// A record that shows no outage, now or lately.
pub(crate) fn fresh_liveness() -> Liveness {
    let resumed_at = NOW - TICK * 1000;
    Liveness { last_signed_at: NOW, resumed_at, outage_grace: ticks(OUTAGE_GRACE_TICKS) }
}
