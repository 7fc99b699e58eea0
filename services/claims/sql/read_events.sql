-- Events behind a position, in order: a bounded number is looked at, and those of one tenant are
-- returned, or of all if none is named (E2). How far it looked, and what was pruned by then (E3), is
-- of the same snapshot and stands in every row; if nothing was found, in one without an event. So
-- does whether the server is a standby, whose page is not believed.
WITH looked AS MATERIALIZED (
    SELECT sequence, tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason,
           actor, occurred_at
    FROM claim_events
    WHERE sequence > $1::bigint AND sequence <= $2::bigint
    ORDER BY sequence
    LIMIT $3::bigint
), found AS (
    SELECT * FROM looked WHERE tenant_id = coalesce(nullif($4::text, ''), tenant_id)
)
SELECT pg_is_in_recovery(), p.highest_sequence, seen.looked_at, seen.last_sequence,
       f.sequence, f.tenant_id, f.entity_url, f.stream_path, f.consumer_id, f.epoch, f.fence, f.type,
       f.reason, f.actor, f.occurred_at
FROM claim_events_pruned AS p
CROSS JOIN (SELECT count(*) AS looked_at, max(sequence) AS last_sequence FROM looked) AS seen
LEFT JOIN found AS f ON true
ORDER BY f.sequence
