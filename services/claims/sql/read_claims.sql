-- Reads claims by identity, without a lock. What a live claim's lease holds stands where an ended
-- claim keeps its final one.
SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url, c.stream_path, c.authority, c.wake_id,
       c.runner_id, c.request_id, c.claimed_at, c.ceiling_at, c.lease_ttl_ms, c.fence,
       c.token_digest, c.state, c.superseded_by_consumer_id, c.superseded_by_epoch, c.ended_at,
       c.end_reason, c.entity_cleared, coalesce(l.lease_expires_at, c.lease_expires_at),
       coalesce(l.last_heartbeat_at, c.last_heartbeat_at), c.acked_streams::text, c.error_message,
       coalesce(l.progress, c.progress)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (tenant_id, consumer_id, epoch)
JOIN consumer_claims AS c
    ON c.tenant_id = asked.tenant_id AND c.consumer_id = asked.consumer_id
    AND c.epoch = asked.epoch
LEFT JOIN claim_leases AS l
    ON l.tenant_id = c.tenant_id AND l.consumer_id = c.consumer_id AND l.epoch = c.epoch
