-- Locks entities, named as such or by a claim of theirs, in key order; first of all locks of a
-- decision. Those that a stranger holds are skipped, so that one of them stalls nobody else; the
-- patient form of this statement waits for them.
WITH asked AS (
    SELECT tenant_id, entity_url
    FROM unnest($1::text[], $2::text[]) AS named (tenant_id, entity_url)
    UNION
    SELECT c.tenant_id, c.entity_url
    FROM unnest($3::text[], $4::text[], $5::bigint[]) AS held (tenant_id, consumer_id, epoch)
    JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
)
SELECT e.tenant_id, e.entity_url, e.state, e.fence, e.current_consumer_id, e.current_epoch,
       e.last_claimed_at, e.last_ended_at, e.last_completed_at, e.last_error
FROM asked
JOIN entity_dispatch_state AS e
    ON e.tenant_id = asked.tenant_id AND e.entity_url = asked.entity_url
ORDER BY e.tenant_id, e.entity_url
FOR NO KEY UPDATE OF e SKIP LOCKED
