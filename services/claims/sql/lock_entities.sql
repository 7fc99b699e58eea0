-- Locks entities in the order in which they are given, which is that of their keys; first of all
-- locks of a decision. Those that a stranger holds are skipped, so that one of them stalls nobody
-- else; the patient form of this statement waits for them. Tells of each that it could not lock
-- whether it is there.
SELECT asked.tenant_id, asked.entity_url,
       locked.state IS NOT NULL OR EXISTS (
           SELECT FROM entity_dispatch_state AS e
           WHERE e.tenant_id = asked.tenant_id AND e.entity_url = asked.entity_url),
       locked.*
FROM unnest($1::text[], $2::text[]) AS asked (tenant_id, entity_url)
LEFT JOIN LATERAL (
    SELECT e.tenant_id, e.entity_url, e.state, e.fence, e.current_consumer_id, e.current_epoch,
           e.last_claimed_at, e.last_ended_at, e.last_completed_at, e.last_error
    FROM entity_dispatch_state AS e
    WHERE e.tenant_id = asked.tenant_id AND e.entity_url = asked.entity_url
    FOR NO KEY UPDATE SKIP LOCKED
) AS locked ON true
