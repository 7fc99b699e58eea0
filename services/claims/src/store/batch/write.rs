//! The last round trip of a batch: write the net changes and the events, and commit.

use crate::domain::decide::Event;
use crate::domain::world::MarkKey;
use crate::domain::{Claim, ClaimId, Entity, EntityKey, Epoch, Timestamp, World};
use crate::store::connect::round_trip;
use crate::store::error::{TransactionError, is_disconnect};
use crate::store::rows::{Time, acks_to_json, ttl_millis};
use crate::store::statement::Statement;
use crate::store::statements::{
    DeleteLeases, InsertClaims, InsertEntities, RaiseEpochs, UpdateClaims, UpdateEntities,
    WriteEvents, WriteLeases,
};
use crate::store::trace::{boxed_statement, statement};
use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::{BoxFuture, join_all};
use std::collections::BTreeSet;

/// Key of the advisory lock that every writer of events shares while it draws and commits (E2).
pub(crate) const EVENT_WRITERS_LOCK: i64 = 0x636c_6169_6d65_7674;

/// Writes the changes, records the events, commits.
///
/// New entities come first: whoever makes one has its decision about it stand, and others wait for
/// that here. Ends and supersedes come before inserts, because the index of I1 is checked row by row. COMMIT
/// goes out with the writes: after a failed statement it rolls back.
pub(super) async fn write_and_commit(
    connection: &AsyncPgConnection,
    net: &NetChanges<'_>,
    events: &[Event],
    now: Timestamp,
) -> Result<(), TransactionError> {
    let pipeline = async {
        let mut c = connection;
        let writes = join_all(net.writes(connection, events, now));
        let commit = statement("COMMIT", c.batch_execute("COMMIT"));
        tokio::join!(biased; writes, commit)
    };
    let (writes, committed) = round_trip(true, tokio::task::unconstrained(pipeline)).await?;
    if let Some(error) = writes.into_iter().find_map(Result::err) {
        return Err(after_failed_write(connection, error).await);
    }
    committed.map_err(TransactionError::OutcomeUnknown)
}

/// If the connection still works, the database has refused a statement, and COMMIT, which it saw
/// after that, has rolled back. If not, nobody knows how much of the pipeline was executed: a
/// server that is shut down says so in the place of an answer that may have been on its way.
async fn after_failed_write(
    mut connection: &AsyncPgConnection,
    error: DieselError,
) -> TransactionError {
    if is_disconnect(&error) {
        return TransactionError::OutcomeUnknown(error);
    }
    match round_trip(true, connection.batch_execute("")).await {
        Ok(Ok(())) => TransactionError::RolledBack(error),
        Ok(Err(_)) | Err(_) => TransactionError::OutcomeUnknown(error),
    }
}

/// What differs between a world as it was loaded and as it was left.
#[derive(Default)]
pub(super) struct NetChanges<'w> {
    updated: Vec<&'w Claim>,
    inserted: Vec<&'w Claim>,
    lease_gone: Vec<&'w ClaimId>,
    leases: Vec<&'w Claim>,
    entities: Vec<(&'w EntityKey, &'w Entity)>,
    new_entities: Vec<(&'w EntityKey, &'w Entity)>,
    marks: Vec<(&'w MarkKey, Epoch)>,
}

impl<'w> NetChanges<'w> {
    /// Entities that are `unmade` are to be made, whatever became of the command that named them.
    pub(super) fn between(before: &World, after: &'w World, unmade: &BTreeSet<EntityKey>) -> Self {
        let mut net = Self::default();
        for (id, claim) in &after.claims {
            match before.claims.get(id) {
                None => net.add_minted(claim),
                Some(old) if old != claim => net.add_changed(old, claim),
                Some(_) => {}
            }
        }
        for (key, entity) in &after.entities {
            if unmade.contains(key) {
                net.new_entities.push((key, entity));
            } else if before.entities.get(key) != Some(entity) {
                net.entities.push((key, entity));
            }
        }
        for (key, epoch) in &after.marks {
            if before.marks.get(key) != Some(epoch) {
                net.marks.push((key, *epoch));
            }
        }
        net
    }

    fn add_minted(&mut self, claim: &'w Claim) {
        self.inserted.push(claim);
        if claim.state.is_live() {
            self.leases.push(claim);
        }
    }

    fn add_changed(&mut self, old: &Claim, claim: &'w Claim) {
        if claim.state.is_live() {
            self.leases.push(claim);
        } else {
            self.lease_gone.push(&claim.id);
        }
        // A signal changes the lease alone.
        if old.state != claim.state || old.fence != claim.fence {
            self.updated.push(claim);
        }
    }

    /// The statements that are needed, in order.
    fn writes<'c>(
        &self,
        connection: &'c AsyncPgConnection,
        events: &[Event],
        now: Timestamp,
    ) -> Vec<BoxFuture<'c, Result<usize, DieselError>>> {
        let mut c = connection;
        let mut sent = Vec::new();
        if !self.new_entities.is_empty() {
            sent.push(boxed_statement(
                InsertEntities::FILE,
                insert_entities(&self.new_entities).execute(&mut c),
            ));
        }
        if !self.updated.is_empty() {
            sent.push(boxed_statement(
                UpdateClaims::FILE,
                update_claims(&self.updated).execute(&mut c),
            ));
        }
        if !self.inserted.is_empty() {
            sent.push(boxed_statement(
                InsertClaims::FILE,
                insert_claims(&self.inserted).execute(&mut c),
            ));
        }
        if !self.lease_gone.is_empty() {
            let (tenants, consumers, epochs) =
                super::load::id_arrays(self.lease_gone.iter().copied());
            let leases = DeleteLeases { tenants, consumers, epochs, ..Default::default() };
            sent.push(boxed_statement(DeleteLeases::FILE, leases.execute(&mut c)));
        }
        if !self.leases.is_empty() {
            sent.push(boxed_statement(
                WriteLeases::FILE,
                write_leases(&self.leases).execute(&mut c),
            ));
        }
        if !self.entities.is_empty() {
            sent.push(boxed_statement(
                UpdateEntities::FILE,
                update_entities(&self.entities).execute(&mut c),
            ));
        }
        if !self.marks.is_empty() {
            sent.push(boxed_statement(
                RaiseEpochs::FILE,
                raise_epochs(&self.marks).execute(&mut c),
            ));
        }
        if !events.is_empty() {
            sent.push(boxed_statement(
                WriteEvents::FILE,
                write_events(events, now).execute(&mut c),
            ));
        }
        sent
    }
}

/// The final lease and heartbeat are written with the ending; before that they live elsewhere.
fn if_ended<T>(claim: &Claim, value: T) -> Option<T> {
    claim.ending.is_some().then_some(value)
}

fn stored(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn update_claims<'w>(claims: &[&'w Claim]) -> UpdateClaims<'w> {
    let mut rows = UpdateClaims { count: stored(claims.len()), ..Default::default() };
    for claim in claims {
        rows.tenants.push(claim.id.tenant.as_str());
        rows.consumers.push(claim.id.consumer.as_str());
        rows.epochs.push(claim.id.epoch.get());
        rows.fences.push(claim.fence.get());
        rows.token_digests.push(claim.token_digest.as_bytes());
        rows.states.push(claim.state.as_str());
        rows.superseded_by_consumers.push(claim.superseded_by.as_ref().map(|by| by.0.as_str()));
        rows.superseded_by_epochs.push(claim.superseded_by.as_ref().map(|by| by.1.get()));
        let ending = claim.ending.as_ref();
        rows.ended.push(ending.map(|ending| Time(ending.at)));
        rows.end_reasons.push(ending.map(|ending| ending.reason.to_string()));
        rows.entities_cleared.push(ending.map(|ending| ending.entity_cleared));
        rows.lease_expiries.push(if_ended(claim, Time(claim.lease.expires_at)));
        rows.last_heartbeats
            .push(if_ended(claim, claim.lease.last_heartbeat_at).flatten().map(Time));
        rows.acked_streams
            .push(ending.and_then(|ending| ending.acked_streams.as_deref()).map(acks_to_json));
        rows.error_messages.push(ending.map(|ending| ending.error_message.as_str()));
        rows.progresses.push(if_ended(claim, claim.progress.as_deref()).flatten());
    }
    rows
}

fn insert_claims<'w>(claims: &[&'w Claim]) -> InsertClaims<'w> {
    let mutable = update_claims(claims);
    InsertClaims {
        entities: claims.iter().map(|claim| claim.entity.as_str()).collect(),
        streams: claims.iter().map(|claim| claim.stream.as_str()).collect(),
        authorities: claims.iter().map(|claim| claim.authority.as_str()).collect(),
        wake_ids: claims.iter().map(|claim| claim.wake_id.as_str()).collect(),
        runner_ids: claims.iter().map(|claim| claim.runner_id.as_str()).collect(),
        request_ids: claims.iter().map(|claim| claim.request_id.as_str()).collect(),
        claimed: claims.iter().map(|claim| Time(claim.claimed_at)).collect(),
        ceilings: claims.iter().map(|claim| claim.lease.ceiling_at.map(Time)).collect(),
        ttls_ms: claims.iter().map(|claim| ttl_millis(claim.lease.ttl)).collect(),
        tenants: mutable.tenants,
        consumers: mutable.consumers,
        epochs: mutable.epochs,
        fences: mutable.fences,
        token_digests: mutable.token_digests,
        states: mutable.states,
        superseded_by_consumers: mutable.superseded_by_consumers,
        superseded_by_epochs: mutable.superseded_by_epochs,
        ended: mutable.ended,
        end_reasons: mutable.end_reasons,
        entities_cleared: mutable.entities_cleared,
        lease_expiries: mutable.lease_expiries,
        last_heartbeats: mutable.last_heartbeats,
        acked_streams: mutable.acked_streams,
        error_messages: mutable.error_messages,
        progresses: mutable.progresses,
        ..Default::default()
    }
}

fn write_leases<'w>(claims: &[&'w Claim]) -> WriteLeases<'w> {
    let mut rows = WriteLeases::default();
    for claim in claims {
        rows.tenants.push(claim.id.tenant.as_str());
        rows.consumers.push(claim.id.consumer.as_str());
        rows.epochs.push(claim.id.epoch.get());
        rows.expiries.push(Time(claim.lease.expires_at));
        rows.heard.push(Time(claim.lease.heard_at));
        rows.last_heartbeats.push(claim.lease.last_heartbeat_at.map(Time));
        rows.ceilings.push(claim.lease.ceiling_at.map(Time));
        rows.ttls_ms.push(ttl_millis(claim.lease.ttl));
        rows.superseded.push(claim.superseded_by.is_some());
        rows.stop.push(claim.lease.stop);
        rows.token_digests.push(claim.token_digest.as_bytes());
        rows.progresses.push(claim.progress.as_deref());
    }
    rows
}

fn update_entities<'w>(entities: &[(&'w EntityKey, &'w Entity)]) -> UpdateEntities<'w> {
    let mut rows = UpdateEntities { count: stored(entities.len()), ..Default::default() };
    for (key, entity) in entities {
        rows.tenants.push(key.tenant.as_str());
        rows.urls.push(key.url.as_str());
        rows.states.push(entity.state.as_str());
        rows.fences.push(entity.fence.get());
        rows.current_consumers.push(entity.current.as_ref().map(|current| current.0.as_str()));
        rows.current_epochs.push(entity.current.as_ref().map(|current| current.1.get()));
        rows.last_claimed.push(entity.last_claimed_at.map(Time));
        rows.last_ended.push(entity.last_ended_at.map(Time));
        rows.last_completed.push(entity.last_completed_at.map(Time));
        rows.last_errors.push(entity.last_error.as_deref());
    }
    rows
}

fn insert_entities<'w>(entities: &[(&'w EntityKey, &'w Entity)]) -> InsertEntities<'w> {
    let rows = update_entities(entities);
    InsertEntities {
        tenants: rows.tenants,
        urls: rows.urls,
        states: rows.states,
        fences: rows.fences,
        current_consumers: rows.current_consumers,
        current_epochs: rows.current_epochs,
        last_claimed: rows.last_claimed,
        last_ended: rows.last_ended,
        last_completed: rows.last_completed,
        last_errors: rows.last_errors,
        ..Default::default()
    }
}

fn raise_epochs<'w>(marks: &[(&'w MarkKey, Epoch)]) -> RaiseEpochs<'w> {
    let mut rows = RaiseEpochs::default();
    for ((entity, authority), highest) in marks {
        rows.tenants.push(entity.tenant.as_str());
        rows.urls.push(entity.url.as_str());
        rows.authorities.push(authority.as_str());
        rows.highest.push(highest.get());
    }
    rows
}

/// A signal's event names no claim: consumer and stream are empty and the epoch is zero.
fn write_events(events: &[Event], now: Timestamp) -> WriteEvents<'_> {
    let mut rows = WriteEvents { advisory_key: EVENT_WRITERS_LOCK, ..Default::default() };
    for event in events {
        let claim = event.claim.as_ref();
        rows.tenants.push(event.entity.tenant.as_str());
        rows.urls.push(event.entity.url.as_str());
        rows.streams.push(claim.map_or("", |claim| claim.0.as_str()));
        rows.consumers.push(claim.map_or("", |claim| claim.1.as_str()));
        rows.epochs.push(claim.map_or(0, |claim| claim.2.get()));
        rows.fences.push(event.fence.get());
        rows.types.push(event.event_type.as_str());
        rows.reasons.push(&event.reason);
        rows.actors.push(&event.actor);
        rows.occurred.push(Time(now));
    }
    rows
}
