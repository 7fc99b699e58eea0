-- Finds the entity of each claim, which never changes, so that no lock is needed for that (D2), and
-- locks the entities in key order as the statement for entities does.
SELECT held.tenant_id, held.consumer_id, held.epoch, held.entity_url, locked.*
FROM (
    SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (tenant_id, consumer_id, epoch)
    JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
    ORDER BY c.tenant_id, c.entity_url
) AS held
LEFT JOIN LATERAL (
    SELECT e.tenant_id, e.entity_url, e.state, e.fence, e.current_consumer_id, e.current_epoch,
           e.last_claimed_at, e.last_ended_at, e.last_completed_at, e.last_error
    FROM entity_dispatch_state AS e
    WHERE e.tenant_id = held.tenant_id AND e.entity_url = held.entity_url
    FOR NO KEY UPDATE SKIP LOCKED
) AS locked ON true
