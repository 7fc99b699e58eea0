-- ListClaims of a whole tenant with lapsed_only: from the leases, since only live claims have one.
WITH asked AS (
    SELECT $1::text AS tenant_id, $2::text[] AS states, $3::text AS after_consumer_id,
           $4::bigint AS after_epoch
)
SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url, c.stream_path, c.authority, c.wake_id,
       c.runner_id, c.request_id, c.claimed_at, c.ceiling_at, c.lease_ttl_ms, c.fence,
       c.token_digest, c.state, c.superseded_by_consumer_id, c.superseded_by_epoch, c.ended_at,
       c.end_reason, c.entity_cleared, coalesce(l.lease_expires_at, c.lease_expires_at),
       coalesce(l.last_heartbeat_at, c.last_heartbeat_at), c.acked_streams::text, c.error_message,
       coalesce(l.progress, c.progress)
FROM asked
JOIN claim_leases AS l ON l.tenant_id = asked.tenant_id
JOIN consumer_claims AS c
    ON c.tenant_id = l.tenant_id AND c.consumer_id = l.consumer_id AND c.epoch = l.epoch
WHERE (l.consumer_id, l.epoch) > (asked.after_consumer_id, asked.after_epoch)
    AND l.lease_expires_at <= clock_timestamp()
    AND (cardinality(asked.states) = 0 OR c.state = ANY (asked.states))
ORDER BY l.consumer_id, l.epoch
LIMIT $5::bigint
