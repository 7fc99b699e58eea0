//! The numbers of an operation as names.

use super::super::operations::{EpochOf, MintOf, Pick, TokenOf};
use super::Play;
use claims::domain::{
    AckedStream, Authority, ClaimId, ConsumerId, EntityKey, EntityUrl, Epoch, LeaseTtl, Mint,
    RequestId, RunnerId, StreamPath, TenantId, TokenDigest, WakeId,
};
use std::time::Duration;

const TENANTS: [&str; 2] = ["default", "other"];
const ENTITIES: [&str; 2] = ["/chat/a", "/chat/b"];
const STREAMS: [&str; 2] = ["main", "log"];
const CONSUMERS: [&str; 3] = ["w1", "w2", "w3"];
const AUTHORITIES: [&str; 3] = ["", "s1", "s2"];
const RUNNERS: [&str; 3] = ["", "r1", "r2"];
const REQUESTS: [&str; 3] = ["", "q1", "q2"];

impl Play {
    pub(super) fn fresh_token(&mut self) -> TokenDigest {
        self.tokens_made += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.tokens_made.to_be_bytes());
        TokenDigest::from_bytes(bytes)
    }

    pub(super) fn mint_of(&mut self, of: &MintOf) -> Mint {
        let key = key_of(of.tenant, of.entity);
        let authority = Authority::parse(AUTHORITIES[of.authority]).expect("an authority");
        let epoch = match of.epoch {
            EpochOf::Issued => None,
            EpochOf::Given(number) => Some(number),
            EpochOf::AboveMark(above) => {
                let mark = self.history.highest(&key, &authority);
                Some(mark.map_or(0, Epoch::get) + above)
            }
        };
        let lease_ttl = of.lease_ttl.map(Duration::from_secs);
        let max_duration = of.max_duration.map(Duration::from_secs);
        let (ttl, max_duration) =
            LeaseTtl::of_claim(lease_ttl, max_duration).expect("lengths within M6");
        Mint {
            tenant: key.tenant,
            entity: key.url,
            stream: stream_of(of.entity, of.stream),
            consumer: ConsumerId::parse(CONSUMERS[of.consumer]).expect("a consumer"),
            epoch: epoch.map(|number| Epoch::parse(number.max(1)).expect("an epoch")),
            authority,
            wake_id: WakeId::parse("").expect("a wake"),
            runner_id: RunnerId::parse(RUNNERS[of.runner]).expect("a runner"),
            request_id: RequestId::parse(REQUESTS[of.request]).expect("a request"),
            asked_ttl: of.lease_ttl.map(length),
            ttl,
            max_duration,
            supersede: of.supersede,
            token_digest: self.fresh_token(),
        }
    }

    /// A mint by a consumer that nobody has seen, with nothing but the entity.
    pub(super) fn newcomer(&self, key: &EntityKey) -> Mint {
        let (ttl, max_duration) = LeaseTtl::of_claim(None, None).expect("the defaults");
        Mint {
            tenant: key.tenant.clone(),
            entity: key.url.clone(),
            stream: StreamPath::of_entity(&key.url, "").expect("the default stream"),
            consumer: ConsumerId::parse("newcomer").expect("a consumer"),
            epoch: None,
            authority: Authority::parse("").expect("an authority"),
            wake_id: WakeId::parse("").expect("a wake"),
            runner_id: RunnerId::parse("").expect("a runner"),
            request_id: RequestId::parse("").expect("a request"),
            asked_ttl: None,
            ttl,
            max_duration,
            supersede: false,
            token_digest: TokenDigest::from_bytes([255; 32]),
        }
    }

    pub(super) fn pick(&self, pick: &Pick) -> ClaimId {
        let known = self.history.identities();
        let live: Vec<ClaimId> =
            known.iter().filter(|id| self.history.is_live(id)).cloned().collect();
        match pick {
            Pick::Live(index) if !live.is_empty() => index.get(&live).clone(),
            Pick::Live(index) | Pick::Any(index) if !known.is_empty() => index.get(&known).clone(),
            _ => ClaimId {
                tenant: TenantId::parse(TENANTS[0]).expect("a tenant"),
                consumer: ConsumerId::parse("nobody").expect("a consumer"),
                epoch: Epoch::FIRST,
            },
        }
    }

    pub(super) fn token(&self, id: &ClaimId, token: &TokenOf) -> Option<TokenDigest> {
        match token {
            TokenOf::None => None,
            TokenOf::Right => self.token_of.get(id).copied(),
            TokenOf::Any(_) if self.tokens.is_empty() => None,
            TokenOf::Any(index) => Some(index.get(&self.tokens).3),
        }
    }
}

pub(super) fn key_of(tenant: usize, entity: usize) -> EntityKey {
    EntityKey {
        tenant: TenantId::parse(TENANTS[tenant]).expect("a tenant"),
        url: EntityUrl::parse(ENTITIES[entity]).expect("an entity"),
    }
}

pub(super) fn stream_of(entity: usize, stream: usize) -> StreamPath {
    let path = format!("{}/{}", ENTITIES[entity], STREAMS[stream]);
    StreamPath::parse(&path).expect("a stream")
}

pub(super) fn length(count: u64) -> LeaseTtl {
    LeaseTtl::parse(Duration::from_secs(count)).expect("a length of lease")
}

pub(super) fn ack(number: usize) -> AckedStream {
    AckedStream::parse(format!("/in/{number}"), number.to_string()).expect("an ack")
}
