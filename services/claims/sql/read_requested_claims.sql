-- Reads the newest by fence of a consumer's claims of an entity that carry a request id (M2), without
-- a lock.
SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url, c.stream_path, c.authority, c.wake_id,
       c.runner_id, c.request_id, c.claimed_at, c.ceiling_at, c.lease_ttl_ms, c.fence,
       c.token_digest, c.state, c.superseded_by_consumer_id, c.superseded_by_epoch, c.ended_at,
       c.end_reason, c.entity_cleared, c.lease_expires_at, c.last_heartbeat_at,
       c.acked_streams::text, c.error_message, c.progress
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
    AS sent (tenant_id, consumer_id, entity_url, request_id)
CROSS JOIN LATERAL (
    SELECT k.*
    FROM consumer_claims AS k
    WHERE k.tenant_id = sent.tenant_id
        AND k.consumer_id = sent.consumer_id
        AND k.entity_url = sent.entity_url
        AND k.request_id = sent.request_id
        AND k.request_id <> ''
    ORDER BY k.fence DESC
    LIMIT 1) AS c
