//! Requests, checked and converted. Names and texts carry their limits in their domain types;
//! what is checked here is what only the wire knows: numbers of enums, sizes of lists, pages.

use super::time::duration;
use super::violations::{InvalidFields, Violations};
use crate::page_token;
use claim_proto::v1;
use claims::domain::claim::ACKED_STREAMS_MAX;
use claims::domain::{
    AckedStream, Authority, ClaimId, ClaimState, ConsumerId, Done, DoneOutcome, EntityKey,
    EntityUrl, Epoch, Heartbeat, InvalidField, LeaseTtl, Mint, RequestId, RunnerId, StreamPath,
    TenantId, Text, TokenDigest, WakeId, WriteToken,
};
use claims::store::ClaimQuery;
use std::time::Duration;

/// Most bytes of a write token that is looked at. Ours have 43, but a wrong one is to be called
/// wrong and not malformed.
const WRITE_TOKEN_BYTES_MAX: usize = 256;
/// Claims or events on a page if the caller does not say.
const PAGE_SIZE_DEFAULT: usize = 100;
/// Most claims or events on a page.
const PAGE_SIZE_MAX: usize = 1000;

/// Asks to claim an entity; `token` is the digest of the token that goes with the claim.
pub(crate) fn mint(asked: &v1::MintRequest, token: TokenDigest) -> Result<Mint, InvalidFields> {
    let mut fields = Violations::default();
    let tenant = fields.check(TenantId::parse_or_default(&asked.tenant_id));
    let entity = fields.check(EntityUrl::parse(&asked.entity_url));
    let stream = match &entity {
        Some(entity) => fields.check(StreamPath::of_entity(entity, &asked.stream_path)),
        None if asked.stream_path.is_empty() => None,
        None => fields.check(StreamPath::parse(&asked.stream_path)),
    };
    let consumer = fields.check(ConsumerId::parse(&asked.consumer_id));
    let epoch = fields.check(asked.epoch.map(Epoch::parse).transpose());
    let authority = fields.check(Authority::parse(&asked.authority));
    if asked.epoch.is_none() && !asked.authority.is_empty() {
        // M3: whose numbers they are is said only by whoever gives one.
        fields.add(InvalidField::new("authority", "must be empty without an epoch"));
    }
    let wake_id = fields.check(WakeId::parse(&asked.wake_id));
    let runner_id = fields.check(RunnerId::parse(&asked.runner_id));
    let request_id = fields.check(RequestId::parse(&asked.request_id));
    let lengths = lengths(&mut fields, asked.lease_ttl, asked.max_duration);
    fields.or(|| {
        let (asked_ttl, ttl, max_duration) = lengths?;
        Some(Mint {
            tenant: tenant?,
            entity: entity?,
            stream: stream?,
            consumer: consumer?,
            epoch: epoch?,
            authority: authority?,
            wake_id: wake_id?,
            runner_id: runner_id?,
            request_id: request_id?,
            asked_ttl,
            ttl,
            max_duration,
            supersede: asked.supersede,
            token_digest: token,
        })
    })
}

/// M6: the lease that was asked for, the lease of a new claim, and its ceiling.
fn lengths(
    fields: &mut Violations,
    lease_ttl: Option<prost_types::Duration>,
    max_duration: Option<prost_types::Duration>,
) -> Option<(Option<LeaseTtl>, LeaseTtl, Option<Duration>)> {
    let asked_ttl = lease(fields, lease_ttl);
    let max_duration = max_duration.map(|sent| duration("max_duration", sent));
    let max_duration = fields.check(max_duration.transpose());
    // A lease that is no lease says nothing about the ceiling, which is then judged without it.
    let lease = asked_ttl.flatten().map(LeaseTtl::get);
    let (ttl, ceiling) = fields.check(LeaseTtl::of_claim(lease, max_duration?))?;
    Some((asked_ttl?, ttl, ceiling))
}

fn lease(fields: &mut Violations, sent: Option<prost_types::Duration>) -> Option<Option<LeaseTtl>> {
    let lease = sent.map(|sent| duration("lease_ttl", sent).and_then(LeaseTtl::parse));
    fields.check(lease.transpose())
}

/// Asks to renew a lease.
pub(crate) fn heartbeat(asked: &v1::HeartbeatRequest) -> Result<Heartbeat, InvalidFields> {
    let mut fields = Violations::default();
    let id = claim_id(&mut fields, &asked.tenant_id, &asked.consumer_id, asked.epoch);
    let token = supplied_token(&mut fields, &asked.write_token);
    let ttl = lease(&mut fields, asked.lease_ttl);
    let progress = asked.progress.as_deref();
    let progress = fields.check(progress.map(|text| Text::parse("progress", text)).transpose());
    fields.or(|| Some(Heartbeat { id: id?, token: token?, ttl: ttl?, progress: progress? }))
}

/// Asks to finish a claim.
pub(crate) fn done(asked: v1::DoneRequest) -> Result<Done, InvalidFields> {
    let mut fields = Violations::default();
    let id = claim_id(&mut fields, &asked.tenant_id, &asked.consumer_id, asked.epoch);
    let token = supplied_token(&mut fields, &asked.write_token);
    let acked_streams = acked_streams(&mut fields, asked.acked_streams);
    let outcome = fields.check(outcome(asked.outcome));
    let error_message = fields.check(Text::parse("error_message", &asked.error_message));
    fields.or(|| {
        Some(Done {
            id: id?,
            token: token?,
            acked_streams: acked_streams?,
            outcome: outcome?,
            error_message: error_message?,
        })
    })
}

/// Asks whether a token authorizes a write.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeWrite {
    pub(crate) tenant: TenantId,
    pub(crate) stream: StreamPath,
    pub(crate) token: TokenDigest,
}

/// Asks whether a token authorizes a write. An empty token is as wrong as any other.
pub(crate) fn authorize_write(
    asked: &v1::AuthorizeWriteRequest,
) -> Result<AuthorizeWrite, InvalidFields> {
    let mut fields = Violations::default();
    let tenant = fields.check(TenantId::parse_or_default(&asked.tenant_id));
    let stream = fields.check(StreamPath::parse(&asked.stream_path));
    let token = fields.check(presented(&asked.write_token));
    fields.or(|| Some(AuthorizeWrite { tenant: tenant?, stream: stream?, token: token? }))
}

/// Names a claim to read.
pub(crate) fn get_claim(asked: &v1::GetClaimRequest) -> Result<ClaimId, InvalidFields> {
    let mut fields = Violations::default();
    let id = claim_id(&mut fields, &asked.tenant_id, &asked.consumer_id, asked.epoch);
    fields.or(|| id)
}

/// Names an entity to read.
pub(crate) fn get_entity(asked: &v1::GetEntityRequest) -> Result<EntityKey, InvalidFields> {
    let mut fields = Violations::default();
    let tenant = fields.check(TenantId::parse_or_default(&asked.tenant_id));
    let url = fields.check(EntityUrl::parse(&asked.entity_url));
    fields.or(|| Some(EntityKey { tenant: tenant?, url: url? }))
}

/// Chooses the claims to list.
pub(crate) fn list_claims(asked: &v1::ListClaimsRequest) -> Result<ClaimQuery, InvalidFields> {
    let mut fields = Violations::default();
    let tenant = fields.check(TenantId::parse_or_default(&asked.tenant_id));
    let entity = given(&asked.entity_url).map(EntityUrl::parse);
    let entity = fields.check(entity.transpose());
    let runner = given(&asked.runner_id).map(RunnerId::parse);
    let runner = fields.check(runner.transpose());
    let states = fields.check(asked.states.iter().copied().map(state).collect());
    let page_size = fields.check(page_size(asked.page_size));
    let lapsed_only = asked.lapsed_only;
    let query = fields.or(|| {
        let mut states: Vec<ClaimState> = states?;
        states.sort_unstable();
        states.dedup();
        Some(ClaimQuery {
            tenant: tenant?,
            entity: entity?,
            runner: runner?,
            states,
            lapsed_only,
            page_size: page_size?,
            after: None,
        })
    })?;
    // A token belongs to one set of conditions, so they are checked first.
    let after =
        given(&asked.page_token).map(|token| page_token::read(token, &query)).transpose()?;
    Ok(ClaimQuery { after, ..query })
}

/// A plain string field that was given: empty means that it was not.
pub(super) fn given(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

/// The identity that a request names.
pub(super) fn claim_id(
    fields: &mut Violations,
    tenant: &str,
    consumer: &str,
    epoch: i64,
) -> Option<ClaimId> {
    let tenant = fields.check(TenantId::parse_or_default(tenant));
    let consumer = fields.check(ConsumerId::parse(consumer));
    let epoch = fields.check(Epoch::parse(epoch));
    Some(ClaimId { tenant: tenant?, consumer: consumer?, epoch: epoch? })
}

/// A token that may be left out: empty means that it was (H7, D2).
fn supplied_token(fields: &mut Violations, value: &str) -> Option<Option<TokenDigest>> {
    fields.check(given(value).map(presented).transpose())
}

fn presented(value: &str) -> Result<TokenDigest, InvalidField> {
    if value.len() > WRITE_TOKEN_BYTES_MAX {
        let problem = format!("has more than {WRITE_TOKEN_BYTES_MAX} bytes");
        return Err(InvalidField::new("write_token", problem));
    }
    Ok(WriteToken::presented(value.to_owned()).digest())
}

/// The acks, or the first one that does not fit.
fn acked_streams(fields: &mut Violations, sent: Vec<v1::AckedStream>) -> Option<Vec<AckedStream>> {
    if sent.len() > ACKED_STREAMS_MAX {
        let problem = format!("has {} entries, more than {ACKED_STREAMS_MAX}", sent.len());
        fields.add(InvalidField::new("acked_streams", problem));
        return None;
    }
    let acks = sent.into_iter().enumerate().map(|(index, ack)| {
        AckedStream::parse(ack.path, ack.offset).map_err(|violation| {
            let problem = format!("entry {index}: {}", violation.problem);
            InvalidField::new(violation.field, problem)
        })
    });
    fields.check(acks.collect())
}

fn outcome(number: i32) -> Result<DoneOutcome, InvalidField> {
    match v1::DoneOutcome::try_from(number) {
        Ok(v1::DoneOutcome::Unspecified | v1::DoneOutcome::Completed) => Ok(DoneOutcome::Completed),
        Ok(v1::DoneOutcome::Failed) => Ok(DoneOutcome::Failed),
        Err(_) => Err(unknown_number("outcome", number)),
    }
}

fn state(number: i32) -> Result<ClaimState, InvalidField> {
    match v1::ClaimState::try_from(number) {
        Ok(v1::ClaimState::Active) => Ok(ClaimState::Active),
        Ok(v1::ClaimState::Superseded) => Ok(ClaimState::Superseded),
        Ok(v1::ClaimState::Released) => Ok(ClaimState::Released),
        Ok(v1::ClaimState::Failed) => Ok(ClaimState::Failed),
        Ok(v1::ClaimState::Expired) => Ok(ClaimState::Expired),
        Ok(v1::ClaimState::Revoked) => Ok(ClaimState::Revoked),
        Ok(v1::ClaimState::Unspecified) => {
            Err(InvalidField::new("states", "holds the unspecified state"))
        }
        Err(_) => Err(unknown_number("states", number)),
    }
}

pub(super) fn unknown_number(field: &'static str, number: i32) -> InvalidField {
    InvalidField::new(field, format!("{number} is no value of its enum"))
}

/// How many a page of a listing has at most.
pub(super) fn page_size(asked: i64) -> Result<usize, InvalidField> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size @ 1..=PAGE_SIZE_MAX) => Ok(size),
        _ => Err(InvalidField::new("page_size", format!("must be between 0 and {PAGE_SIZE_MAX}"))),
    }
}

#[cfg(test)]
mod tests;
