//! One statement for many heartbeats, and a look at those that it did not renew.

use super::merged::Merged;
use crate::chain;
use crate::domain::{ClaimId, Directive, Heartbeat, LeaseTtl, Refusal, Renewal, Text, heartbeat};
use crate::store::batch::load::id_arrays;
use crate::store::connect::round_trip;
use crate::store::error::{Damaged, StoreError, TransactionError, is_disconnect, is_transient};
use crate::store::lane::{Service, Session};
use crate::store::reads::read_claims;
use crate::store::rows::{Time, claim_id, from_millis, ttl_millis};
use crate::store::statement::Patient;
use crate::store::statements::RenewLeases;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Skip,
    Wait,
}

/// A statement that did not come to its end.
pub(super) enum Failed {
    /// A heartbeat may be repeated at will (H6).
    MayRetry,
    For(StoreError),
}

pub(super) type Verdicts = BTreeMap<ClaimId, Result<Renewal, Refusal>>;
type RenewalRow = (String, String, i64, Time, Time, i32, bool, bool, Option<Time>);

/// Renews what may be renewed and says why the rest may not. A claim without a verdict is held by
/// a stranger, or changed while it was looked at.
pub(super) async fn renew<S: Service>(
    service: &S,
    session: &mut Session,
    asked: &[&Merged],
    patience: Patience,
) -> Result<Verdicts, Failed> {
    let connection = session.get(service).await.map_err(Failed::For)?;
    let mut verdicts = match renew_rows(connection, asked, patience).await {
        Ok(verdicts) => verdicts,
        Err(error) => return Err(failed(session, &error, "heartbeats")),
    };
    let left: Vec<&Merged> =
        asked.iter().copied().filter(|merged| !verdicts.contains_key(&merged.id)).collect();
    if left.is_empty() {
        return Ok(verdicts);
    }
    match look_at(connection, &left, &mut verdicts).await {
        Ok(()) => Ok(verdicts),
        // What was renewed is renewed; the others are looked at again, each alone.
        Err(error) if patience == Patience::Skip => {
            tracing::warn!(error = %chain(&error), "refused heartbeats could not be looked at");
            session.discard();
            Ok(verdicts)
        }
        Err(error) => Err(failed(session, &error, "heartbeats")),
    }
}

pub(super) fn failed(session: &mut Session, error: &TransactionError, what: &str) -> Failed {
    let may_retry = match error {
        TransactionError::RolledBack(cause) => {
            if is_disconnect(cause) {
                session.discard();
            }
            is_transient(cause)
        }
        TransactionError::Disconnected(_) => {
            session.discard();
            true
        }
        TransactionError::Damaged(_) => false,
        TransactionError::OutcomeUnknown(_) | TransactionError::TimedOut { .. } => {
            session.discard();
            tracing::error!(error = %chain(error), "a statement for {what} failed");
            return Failed::For(StoreError::Unavailable);
        }
    };
    if may_retry {
        tracing::warn!(error = %chain(error), "a statement for {what} is tried again");
        return Failed::MayRetry;
    }
    tracing::error!(error = %chain(error), "a statement for {what} failed");
    Failed::For(StoreError::Internal)
}

async fn renew_rows(
    connection: &AsyncPgConnection,
    asked: &[&Merged],
    patience: Patience,
) -> Result<Verdicts, TransactionError> {
    let (tenants, consumers, epochs) = id_arrays(asked.iter().map(|merged| &merged.id));
    let statement = RenewLeases {
        tenants,
        consumers,
        epochs,
        token_digests: asked
            .iter()
            .map(|merged| merged.token.as_ref().map(|digest| &digest.as_bytes()[..]))
            .collect(),
        ttls_ms: asked.iter().map(|merged| merged.ttl.map(ttl_millis)).collect(),
        own_ttls: asked.iter().map(|merged| merged.own_ttl).collect(),
        progresses: asked.iter().map(|merged| merged.progress.as_ref().map(Text::as_str)).collect(),
        ..Default::default()
    };
    let mut c = connection;
    let rows: Vec<RenewalRow> = match patience {
        Patience::Skip => round_trip(false, statement.load(&mut c)).await?,
        Patience::Wait => round_trip(false, Patient(statement).load(&mut c)).await?,
    }
    .map_err(TransactionError::RolledBack)?;

    let mut verdicts = Verdicts::new();
    for (tenant, consumer, epoch, expires, renewed, ttl_ms, stop, had_lapsed, ceiling) in rows {
        let (expires_at, now) = (expires.0, renewed.0);
        let ttl = LeaseTtl::parse(from_millis(i64::from(ttl_ms))).map_err(Damaged::from)?;
        let renewal = Renewal {
            expires_at,
            remaining: expires_at.since(now),
            ttl,
            directive: if stop { Directive::Stop } else { Directive::Continue },
            had_lapsed,
            ceiling_remaining: ceiling.map(|ceiling| ceiling.0.since(now)),
        };
        verdicts.insert(claim_id(&tenant, &consumer, epoch)?, Ok(renewal));
    }
    Ok(verdicts)
}

/// Finds the reasons of those that were not renewed, by the domain's own rule.
async fn look_at(
    connection: &AsyncPgConnection,
    left: &[&Merged],
    verdicts: &mut Verdicts,
) -> Result<(), TransactionError> {
    let ids: Vec<&ClaimId> = left.iter().map(|merged| &merged.id).collect();
    let (claims, now) = round_trip(false, read_claims(connection, &ids)).await??;
    for merged in left {
        let asked = Heartbeat {
            id: merged.id.clone(),
            token: merged.token,
            ttl: merged.ttl,
            progress: None,
        };
        if let Err(refusal) = heartbeat::heartbeat(claims.get(&merged.id), &asked, now) {
            verdicts.insert(merged.id.clone(), Err(refusal));
        }
    }
    Ok(())
}
