-- ListClaims of one runner, oldest first, from behind a position.
WITH asked AS (
    SELECT $1::text AS tenant_id, $2::text AS runner_id, $3::text[] AS states,
           $4::boolean AS lapsed_only, $5::timestamptz AS after_claimed_at,
           $6::text AS after_consumer_id, $7::bigint AS after_epoch
)
SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url, c.stream_path, c.authority, c.wake_id,
       c.runner_id, c.request_id, c.claimed_at, c.ceiling_at, c.lease_ttl_ms, c.fence,
       c.token_digest, c.state, c.superseded_by_consumer_id, c.superseded_by_epoch, c.ended_at,
       c.end_reason, c.entity_cleared, coalesce(l.lease_expires_at, c.lease_expires_at),
       coalesce(l.last_heartbeat_at, c.last_heartbeat_at), c.acked_streams::text, c.error_message,
       coalesce(l.progress, c.progress)
FROM asked
JOIN consumer_claims AS c ON c.tenant_id = asked.tenant_id AND c.runner_id = asked.runner_id
LEFT JOIN claim_leases AS l
    ON l.tenant_id = c.tenant_id AND l.consumer_id = c.consumer_id AND l.epoch = c.epoch
WHERE (c.claimed_at, c.consumer_id, c.epoch)
        > (asked.after_claimed_at, asked.after_consumer_id, asked.after_epoch)
    AND (cardinality(asked.states) = 0 OR c.state = ANY (asked.states))
    AND (NOT asked.lapsed_only OR l.lease_expires_at <= clock_timestamp())
ORDER BY c.claimed_at, c.consumer_id, c.epoch
LIMIT $8::bigint
