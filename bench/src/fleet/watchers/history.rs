//! What is in the table, and whether a watcher saw just that: every event, once, in order.

use super::watcher::Saw;
use crate::sql::Sql;
use anyhow::{Context, Result, ensure};
use claim_proto::v1;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_postgres::Row;

const EVENTS: &str = include_str!("../../../sql/fleet/history.sql");
/// Rows of one look.
const PAGE: i64 = 20_000;
/// What the names of types begin with in messages.
const TYPE_PREFIX: &str = "CLAIM_EVENT_TYPE_";

/// An event as it is remembered: hundreds of thousands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    sequence: i64,
    /// Of everything else that it says.
    digest: u64,
}

/// An event of a watch, and when it happened.
pub(crate) fn told(event: v1::ClaimEvent) -> Result<(Event, SystemTime)> {
    let name = event.r#type().as_str_name();
    let kind = name.strip_prefix(TYPE_PREFIX).context("a type")?.to_lowercase();
    let happened = SystemTime::try_from(event.event_time.context("a time")?)?;
    let texts =
        [event.entity_url, event.stream_path, event.consumer_id, kind, event.reason, event.actor];
    let digest = digest(&texts, event.epoch, event.fence, happened)?;
    Ok((Event { sequence: event.sequence, digest }, happened))
}

/// A row of the table.
fn kept(row: &Row) -> Result<Event> {
    let text = |column: &str| row.try_get::<_, String>(column);
    let texts = [
        text("entity_url")?,
        text("stream_path")?,
        text("consumer_id")?,
        text("type")?,
        text("reason")?,
        text("actor")?,
    ];
    let (epoch, fence) = (row.try_get("epoch")?, row.try_get("fence")?);
    let digest = digest(&texts, epoch, fence, row.try_get("occurred_at")?)?;
    Ok(Event { sequence: row.try_get("sequence")?, digest })
}

fn digest(texts: &[String; 6], epoch: i64, fence: i64, happened: SystemTime) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let micros = happened.duration_since(UNIX_EPOCH)?.as_micros();
    (texts, epoch, fence, micros).hash(&mut hasher);
    Ok(hasher.finish())
}

/// How many events a tenant has.
pub(crate) fn count(sql: &Sql, tenant: &str) -> Result<i64> {
    let count = "SELECT count(*) FROM claim_events WHERE tenant_id = $1";
    Ok(sql.rows(count, &[&tenant])?.first().context("a count")?.try_get(0)?)
}

/// Sequences of the last events: of the tenant by the empty name, and of its entities by theirs.
pub(crate) type Lasts = HashMap<String, i64>;

/// Those of a tenant.
pub(crate) fn lasts(sql: &Sql, tenant: &str) -> Result<Lasts> {
    let lasts = "SELECT coalesce(entity_url, ''), max(sequence) FROM claim_events
        WHERE tenant_id = $1 GROUP BY GROUPING SETS ((), (entity_url))";
    let rows = sql.rows(lasts, &[&tenant])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Fails at the first place at which a watcher saw something else than is there.
pub(crate) fn compare(sql: &Sql, tenant: &str, saw: &Saw) -> Result<()> {
    let entity = saw.entity.as_deref().unwrap_or_default();
    let (mut seen, mut after, mut count) = (saw.events.iter(), saw.after, 0_u64);
    loop {
        let rows = sql.rows(EVENTS, &[&tenant, &entity, &after, &PAGE])?;
        for row in &rows {
            let (kept, told) = (kept(row)?, seen.next());
            ensure!(
                told == Some(&kept),
                "event {} is the next after {after}, the {count}th; the watcher was told {told:?}",
                kept.sequence
            );
            after = kept.sequence;
            count += 1;
        }
        if rows.is_empty() {
            break;
        }
    }
    let more = seen.next();
    ensure!(more.is_none(), "there is nothing behind {after}, but the watcher was told {more:?}");
    Ok(())
}
