-- Locks the leases of claims, in key order. A heartbeat takes no entity lock, so a decision about a
-- lease that is not locked could end a claim whose renewal was just acknowledged.
SELECT l.tenant_id, l.consumer_id, l.epoch, l.lease_expires_at, l.heard_at, l.last_heartbeat_at,
       l.ceiling_at, l.lease_ttl_ms, l.superseded, l.stop, l.token_digest, l.progress
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (tenant_id, consumer_id, epoch)
JOIN claim_leases AS l
    ON l.tenant_id = asked.tenant_id AND l.consumer_id = asked.consumer_id
    AND l.epoch = asked.epoch
ORDER BY l.tenant_id, l.consumer_id, l.epoch
FOR NO KEY UPDATE OF l
