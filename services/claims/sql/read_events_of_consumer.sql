-- As read_events, of one consumer's claims.
WITH looked AS MATERIALIZED (
    SELECT sequence, tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason,
           actor, occurred_at
    FROM claim_events
    WHERE tenant_id = $1::text AND consumer_id = $2::text
        AND sequence > $3::bigint AND sequence <= $4::bigint
    ORDER BY sequence
    LIMIT $5::bigint
)
SELECT pg_is_in_recovery(), p.highest_sequence, seen.looked_at, seen.last_sequence,
       f.sequence, f.tenant_id, f.entity_url, f.stream_path, f.consumer_id, f.epoch, f.fence, f.type,
       f.reason, f.actor, f.occurred_at
FROM claim_events_pruned AS p
CROSS JOIN (SELECT count(*) AS looked_at, max(sequence) AS last_sequence FROM looked) AS seen
LEFT JOIN looked AS f ON true
ORDER BY f.sequence
