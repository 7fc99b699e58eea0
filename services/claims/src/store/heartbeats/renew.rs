//! One statement for many heartbeats, one for those that it left, and a look at the rest.

use super::merged::Merged;
use crate::chain;
use crate::domain::{ClaimId, Directive, Heartbeat, LeaseTtl, Refusal, Renewal, heartbeat};
use crate::store::connect::round_trip;
use crate::store::error::{Damaged, StoreError, TransactionError, is_disconnect, is_transient};
use crate::store::lane::{Service, Session};
use crate::store::reads::read_claims;
use crate::store::rows::{Time, from_millis, ttl_millis};
use crate::store::statement::{Patient, Statement};
use crate::store::statements::{RenewLeases, RenewRunning};
use crate::store::trace;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

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

/// For each claim that was asked about, in that order, what became of its heartbeat. None: a stranger
/// holds the lease, or it changed while it was looked at.
pub(super) type Verdicts = Vec<Option<Result<Renewal, Refusal>>>;
type RenewalRow = (i64, Time, Time, i32, bool, bool, Option<Time>);

/// Renews what may be renewed and says why the rest may not. `asked` is in key order, each claim once:
/// two sessions that wait for each other's rows meet them in the same order.
pub(super) async fn renew<S: Service>(
    service: &S,
    session: &mut Session,
    asked: &[Merged<'_>],
    patience: Patience,
) -> Result<Verdicts, Failed> {
    debug_assert!(asked.is_sorted_by(|one, other| one.id < other.id), "in key order, each once");
    let mut verdicts: Verdicts = asked.iter().map(|_| None).collect();
    let connection = session.get(service).await.map_err(Failed::For)?;
    if patience == Patience::Skip {
        match renew_running(connection, asked, &mut verdicts).await {
            Ok(()) => {}
            // A row was held for too long. Nothing was renewed; now such rows are skipped.
            Err(TransactionError::RolledBack(error)) if !is_disconnect(&error) => {
                tracing::debug!(error = %chain(&error), "leases that run could not all be renewed");
            }
            Err(error) => return Err(failed(session, &error, "heartbeats")),
        }
    }
    if let Err(error) = renew_lapsed(connection, asked, patience, &mut verdicts).await {
        return Err(failed(session, &error, "heartbeats"));
    }
    match look_at(connection, asked, &mut verdicts).await {
        Ok(()) => Ok(verdicts),
        // What was renewed is renewed; the others are looked at again, each alone.
        Err(error) if patience == Patience::Skip => {
            tracing::warn!(error = %chain(&error), "refused heartbeats could not be looked at");
            session.metrics().failed(&error);
            session.discard();
            Ok(verdicts)
        }
        Err(error) => Err(failed(session, &error, "heartbeats")),
    }
}

pub(super) fn failed(session: &mut Session, error: &TransactionError, what: &str) -> Failed {
    session.metrics().failed(error);
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

/// Renews leases that run.
async fn renew_running(
    mut c: &AsyncPgConnection,
    asked: &[Merged<'_>],
    verdicts: &mut Verdicts,
) -> Result<(), TransactionError> {
    let all: Vec<usize> = (0..asked.len()).collect();
    let statement = RenewRunning(statement(asked, &all));
    let rows = round_trip(
        false,
        trace::statement(RenewRunning::FILE, statement.load::<RenewalRow>(&mut c)),
    )
    .await?;
    enter(rows.map_err(TransactionError::RolledBack)?, &all, verdicts)
}

/// Renews those without a verdict, lapsed or not.
async fn renew_lapsed(
    mut c: &AsyncPgConnection,
    asked: &[Merged<'_>],
    patience: Patience,
    verdicts: &mut Verdicts,
) -> Result<(), TransactionError> {
    let left = without(verdicts);
    if left.is_empty() {
        return Ok(());
    }
    let statement = statement(asked, &left);
    let rows = match patience {
        Patience::Skip => {
            round_trip(
                false,
                trace::statement(RenewLeases::FILE, statement.load::<RenewalRow>(&mut c)),
            )
            .await?
        }
        Patience::Wait => {
            let patient = Patient(statement);
            round_trip(
                false,
                trace::statement(RenewLeases::FILE, patient.load::<RenewalRow>(&mut c)),
            )
            .await?
        }
    };
    enter(rows.map_err(TransactionError::RolledBack)?, &left, verdicts)
}

/// The places without a verdict.
fn without(verdicts: &Verdicts) -> Vec<usize> {
    let places = verdicts.iter().enumerate();
    places.filter_map(|(place, verdict)| verdict.is_none().then_some(place)).collect()
}

/// The statement that renews those at `places`.
fn statement<'a>(asked: &[Merged<'a>], places: &[usize]) -> RenewLeases<'a> {
    let mut statement = RenewLeases::default();
    for one in places.iter().filter_map(|place| asked.get(*place)) {
        statement.tenants.push(one.id.tenant.as_str());
        statement.consumers.push(one.id.consumer.as_str());
        statement.epochs.push(one.id.epoch.get());
        statement.token_digests.push(one.token.map(|digest| &digest.as_bytes()[..]));
        statement.ttls_ms.push(one.ttl.map(ttl_millis));
        statement.own_ttls.push(one.own_ttl);
        statement.progresses.push(one.progress);
    }
    statement
}

/// Enters what was renewed. A row gives its position, from one, among those at `places`.
fn enter(
    rows: Vec<RenewalRow>,
    places: &[usize],
    verdicts: &mut Verdicts,
) -> Result<(), TransactionError> {
    for (position, expires, renewed, ttl_ms, stop, had_lapsed, ceiling) in rows {
        let (expires_at, now) = (expires.0, renewed.0);
        let renewal = Renewal {
            expires_at,
            remaining: expires_at.since(now),
            ttl: LeaseTtl::parse(from_millis(i64::from(ttl_ms))).map_err(Damaged::from)?,
            directive: if stop { Directive::Stop } else { Directive::Continue },
            had_lapsed,
            ceiling_remaining: ceiling.map(|ceiling| ceiling.0.since(now)),
        };
        let place = usize::try_from(position - 1).ok().and_then(|place| places.get(place));
        let verdict = place.and_then(|place| verdicts.get_mut(*place));
        *verdict.ok_or_else(|| Damaged::new("a renewal nobody asked for"))? = Some(Ok(renewal));
    }
    Ok(())
}

/// Finds the reasons of those that were not renewed, by the domain's own rule.
async fn look_at(
    connection: &AsyncPgConnection,
    asked: &[Merged<'_>],
    verdicts: &mut Verdicts,
) -> Result<(), TransactionError> {
    let left: Vec<_> =
        verdicts.iter_mut().zip(asked).filter(|(verdict, _)| verdict.is_none()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let ids: Vec<&ClaimId> = left.iter().map(|(_, one)| one.id).collect();
    let (claims, now) = round_trip(false, read_claims(connection, &ids)).await??;
    for (verdict, one) in left {
        let asked = Heartbeat {
            id: one.id.clone(),
            token: one.token.copied(),
            ttl: one.ttl,
            progress: None,
        };
        if let Err(refusal) = heartbeat::heartbeat(claims.get(one.id), &asked, now) {
            *verdict = Some(Err(refusal));
        }
    }
    Ok(())
}
