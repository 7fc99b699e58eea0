//! Commands with everything filled in that a test does not care about.

use crate::domain::{
    AckedStream, Authority, ClaimId, ConsumerId, Done, DoneOutcome, EntityKey, EntitySignal,
    EntityUrl, Epoch, Expire, Heartbeat, LeaseTtl, Mint, RequestId, Revoke, RunnerId, Signal,
    StreamPath, TenantId, Text, WakeId, WriteToken,
};
use crate::store::fresh_write_token;
use std::time::Duration;

/// The tenant of most tests.
pub fn tenant() -> TenantId {
    TenantId::parse("default").expect("a tenant")
}

/// A consumer of that name.
pub fn consumer(name: &str) -> ConsumerId {
    ConsumerId::parse(name).expect("a consumer")
}

/// An entity of that URL.
pub fn entity(url: &str) -> EntityUrl {
    EntityUrl::parse(url).expect("an entity")
}

/// The key of an entity of the default tenant.
pub fn entity_key(url: &str) -> EntityKey {
    EntityKey { tenant: tenant(), url: entity(url) }
}

/// An identity in the default tenant.
pub fn claim_id(name: &str, epoch: i64) -> ClaimId {
    ClaimId {
        tenant: tenant(),
        consumer: consumer(name),
        epoch: Epoch::parse(epoch).expect("an epoch"),
    }
}

/// A write token that belongs to no claim yet.
pub fn fresh_token() -> WriteToken {
    fresh_write_token().expect("randomness")
}

/// A mint in the making, with the token that goes with it.
pub struct MintBuilder {
    /// What will be asked.
    pub mint: Mint,
    /// The token whose digest it carries.
    pub token: WriteToken,
}

/// A mint of an entity by a consumer: no epoch, default lease, no ceiling.
pub fn mint(url: &str, consumer_name: &str) -> MintBuilder {
    let token = fresh_token();
    let (ttl, max_duration) = LeaseTtl::of_claim(None, None).expect("defaults");
    let mint = Mint {
        tenant: tenant(),
        entity: entity(url),
        stream: StreamPath::of_entity(&entity(url), "").expect("a stream"),
        consumer: consumer(consumer_name),
        epoch: None,
        authority: Authority::parse("").expect("an authority"),
        wake_id: WakeId::parse("").expect("a wake"),
        runner_id: RunnerId::parse("").expect("a runner"),
        request_id: RequestId::parse("").expect("a request id"),
        asked_ttl: None,
        ttl,
        max_duration,
        supersede: false,
        token_digest: token.digest(),
    };
    MintBuilder { mint, token }
}

impl MintBuilder {
    /// With an epoch given by an authority.
    pub fn epoch(mut self, authority: &str, epoch: i64) -> Self {
        self.mint.epoch = Some(Epoch::parse(epoch).expect("an epoch"));
        self.mint.authority = Authority::parse(authority).expect("an authority");
        self
    }

    /// Of another tenant.
    pub fn tenant(mut self, name: &str) -> Self {
        self.mint.tenant = TenantId::parse(name).expect("a tenant");
        self
    }

    /// By that runner.
    pub fn runner(mut self, name: &str) -> Self {
        self.mint.runner_id = RunnerId::parse(name).expect("a runner");
        self
    }

    /// With that request id.
    pub fn request(mut self, name: &str) -> Self {
        self.mint.request_id = RequestId::parse(name).expect("a request id");
        self
    }

    /// With that lease and ceiling, in seconds.
    pub fn lengths(mut self, ttl: Option<u64>, max_duration: Option<u64>) -> Self {
        let seconds = |length: Option<u64>| length.map(Duration::from_secs);
        let (ttl_of_claim, ceiling) =
            LeaseTtl::of_claim(seconds(ttl), seconds(max_duration)).expect("lengths");
        self.mint.asked_ttl = ttl.map(|_| ttl_of_claim);
        self.mint.ttl = ttl_of_claim;
        self.mint.max_duration = ceiling;
        self
    }

    /// Taking over even a claim that is not takeable.
    pub fn supersede(mut self) -> Self {
        self.mint.supersede = true;
        self
    }
}

/// A heartbeat without a token or a lease of its own.
pub fn heartbeat(id: &ClaimId) -> Heartbeat {
    Heartbeat { id: id.clone(), token: None, ttl: None, progress: None }
}

/// A done that completed, with one ack.
pub fn done(id: &ClaimId) -> Done {
    let ack = AckedStream::parse("/in/main".to_owned(), "42".to_owned()).expect("an ack");
    Done {
        id: id.clone(),
        token: None,
        acked_streams: vec![ack],
        outcome: DoneOutcome::Completed,
        error_message: Text::default(),
    }
}

/// An expiry with the default reap grace of 5 s.
pub fn expire(id: &ClaimId) -> Expire {
    Expire { id: id.clone(), reap_grace: Duration::from_secs(5) }
}

/// A revocation by an operator, for a reason or none.
pub fn revoke(id: &ClaimId, reason: &str) -> Revoke {
    let reason = Text::parse("reason", reason).expect("a reason");
    Revoke { id: id.clone(), reason, actor: "operator".into() }
}

/// A signal by an operator.
pub fn signal(url: &str, signal: EntitySignal) -> Signal {
    Signal { entity: entity_key(url), signal, reason: Text::default(), actor: "operator".into() }
}

/// KILL.
pub fn kill(url: &str) -> Signal {
    signal(url, EntitySignal::Kill)
}
