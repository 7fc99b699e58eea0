//! The lanes that answer AuthorizeWrite: one batched read by entity key (W2).

use super::connect::{ConnectError, round_trip, warmed};
use super::error::{Damaged, StoreError, TransactionError};
use super::lane::{Call, OfTenant, Service, Session};
use super::rows::{Time, claim_id, entity_state, token_digest};
use super::statement::Statement;
use super::statements::ReadWriters;
use super::trace;
use crate::chain;
use crate::domain::authorize::{Writer, authorize};
use crate::domain::{
    Authorization, EntityUrl, Fence, StreamPath, TenantId, Timestamp, TokenDigest,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::collections::BTreeMap;

/// Most authorizations of one statement.
const BATCH_MAX: usize = 256;

/// May the holder of this token write to this stream?
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) tenant: TenantId,
    pub(super) stream: StreamPath,
    pub(super) token: TokenDigest,
}

impl OfTenant for Ask {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }
}

/// Answers whole batches.
#[derive(Clone)]
pub(super) struct Authorize;

impl Service for Authorize {
    type Ask = Ask;
    type Answer = Authorization;
    const KIND: &'static str = "authorize";

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn warm(&self, connection: &AsyncPgConnection) -> Result<(), ConnectError> {
        let mut c = connection;
        warmed(ReadWriters::default().execute(&mut c)).await
    }

    async fn serve(&self, session: &mut Session, calls: Vec<Call<Ask, Authorization>>) {
        match read_writers(self, session, &calls).await {
            Ok(writers) => {
                for (position, call) in calls.into_iter().enumerate() {
                    let (writer, now) = match writers.get(&position) {
                        Some(Ok((writer, now))) => (Some(writer), *now),
                        Some(Err(error)) => {
                            let stream = &call.ask.stream;
                            tracing::error!(error = %chain(error), "writer of {stream} is damaged");
                            call.answer(Err(StoreError::Internal));
                            continue;
                        }
                        // Without a writer the time plays no part.
                        None => (None, Timestamp::from_unix_micros(0)),
                    };
                    let Ask { stream, token, .. } = &call.ask;
                    let allowed = authorize(writer, stream, token, now);
                    call.answer(allowed.map_err(Into::into));
                }
            }
            Err(error) => {
                for call in calls {
                    call.answer(Err(error.clone()));
                }
            }
        }
    }
}

type Writers = BTreeMap<usize, Result<(Writer, Timestamp), Damaged>>;
type WriterRow = (i64, String, String, i64, String, i64, Vec<u8>, Time, Time);

/// The writers of the streams asked about, by the place of the call in the batch. A read may be
/// repeated, so a connection that proves stale is replaced once.
async fn read_writers(
    service: &Authorize,
    session: &mut Session,
    calls: &[Call<Ask, Authorization>],
) -> Result<Writers, StoreError> {
    let entities: Vec<EntityUrl> = calls.iter().map(|call| call.ask.stream.entity()).collect();
    loop {
        let mut c = session.get(service).await?;
        let statement = ReadWriters {
            tenants: calls.iter().map(|call| call.ask.tenant.as_str()).collect(),
            urls: entities.iter().map(EntityUrl::as_str).collect(),
            ..Default::default()
        };
        let read = trace::statement(ReadWriters::FILE, statement.load::<WriterRow>(&mut c));
        let rows = round_trip(false, read).await;
        let error = match rows {
            Ok(Ok(rows)) => {
                session.take_fresh();
                return Ok(writers(rows, calls));
            }
            Ok(Err(error)) => TransactionError::RolledBack(error),
            Err(error) => error,
        };
        session.metrics().failed(&error);
        session.discard();
        if session.take_fresh() || matches!(error, TransactionError::TimedOut { .. }) {
            tracing::error!(error = %chain(&error), "authorizations could not be read");
            return Err(StoreError::Unavailable);
        }
    }
}

fn writers(rows: Vec<WriterRow>, calls: &[Call<Ask, Authorization>]) -> Writers {
    let mut writers = Writers::new();
    for row in rows {
        // Ordinality counts from one, and there is no position that nobody asked about.
        let place = usize::try_from(row.0 - 1).unwrap_or(usize::MAX);
        if let Some(call) = calls.get(place) {
            writers.insert(place, writer(row, &call.ask.tenant));
        }
    }
    writers
}

fn writer(row: WriterRow, tenant: &TenantId) -> Result<(Writer, Timestamp), Damaged> {
    let (_, state, consumer, epoch, stream, fence, digest, expires, now) = row;
    let writer = Writer {
        id: claim_id(tenant.as_str(), &consumer, epoch)?,
        stream: StreamPath::parse(&stream)?,
        fence: Fence::parse(fence)?,
        token_digest: token_digest(&digest)?,
        lease_expires_at: expires.0,
        entity_state: entity_state(&state)?,
    };
    Ok((writer, now.0))
}
