-- Renews leases that renew_running.sql left: those that have lapsed, or that another session held for
-- too long. The same rules, and H3: a lapsed lease is renewed and the answer says so.
-- Rows that a stranger holds are skipped; whoever asked for them is served apart, by the patient form
-- of this statement, which waits.
WITH locked AS (
    SELECT l.tenant_id, l.consumer_id, l.epoch, l.lease_expires_at AS old_expires_at,
           asked.position, asked.token_digest, asked.progress,
           greatest(asked.ttl_ms, CASE WHEN asked.own_ttl THEN l.lease_ttl_ms END) AS ttl_ms
    FROM unnest(
        $1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::integer[], $6::boolean[], $7::text[])
        WITH ORDINALITY
    AS asked (tenant_id, consumer_id, epoch, token_digest, ttl_ms, own_ttl, progress, position)
    JOIN claim_leases AS l
        ON l.tenant_id = asked.tenant_id
        AND l.consumer_id = asked.consumer_id AND l.epoch = asked.epoch
    ORDER BY l.tenant_id, l.consumer_id, l.epoch
    FOR NO KEY UPDATE OF l SKIP LOCKED
), timed AS MATERIALIZED (
    -- The time is read when the locks are held.
    SELECT locked.*, clock_timestamp() AS renewed_at FROM locked
)
UPDATE claim_leases AS l
SET lease_expires_at = greatest(
        least(l.lease_expires_at, t.renewed_at + interval '10 minutes'),
        least(t.renewed_at + t.ttl_ms * interval '1 millisecond', l.ceiling_at)),
    last_heartbeat_at = t.renewed_at,
    heard_at = t.renewed_at,
    progress = coalesce(t.progress, l.progress)
FROM timed AS t
WHERE l.tenant_id = t.tenant_id AND l.consumer_id = t.consumer_id AND l.epoch = t.epoch
    AND NOT l.superseded
    AND (l.ceiling_at IS NULL OR l.ceiling_at > t.renewed_at)
    AND (t.token_digest IS NULL OR t.token_digest = l.token_digest)
RETURNING t.position, l.lease_expires_at, t.renewed_at, t.ttl_ms, l.stop,
          t.old_expires_at <= t.renewed_at, l.ceiling_at
