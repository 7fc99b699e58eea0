-- Renews leases that run, which almost all are: H1 (not superseded; an ended claim has no lease), H2
-- (never earlier, never beyond the ceiling, at most 10 min ahead), H4 (not at or after the ceiling),
-- H7 (a supplied token must match). One row each, no entity lock (H6). A row that another session
-- holds is waited for, and its newest version decides; the session's lock timeout bounds that.
-- Whatever is not renewed here is served by heartbeat.sql: locking a row before it is written costs a
-- third of the time and of the log, and only a lapsed lease needs its old end (H3).
-- The clock goes on between the condition and the new lease. A lease that ends in between ran when the
-- condition held and is renewed as of its last microsecond: later would be a renewal of a lapsed lease
-- that the answer does not tell (H3).
-- The digest is compared plainly: it is a SHA-256, from which timing tells nothing about the token.
UPDATE claim_leases AS l
SET (lease_expires_at, last_heartbeat_at, heard_at, progress) = (
    SELECT
        greatest(
            least(l.lease_expires_at, t.renewed_at + interval '10 minutes'),
            least(
                t.renewed_at
                    + greatest(asked.ttl_ms, CASE WHEN asked.own_ttl THEN l.lease_ttl_ms END)
                    * interval '1 millisecond',
                l.ceiling_at)),
        t.renewed_at, t.renewed_at, coalesce(asked.progress, l.progress)
    FROM (
        SELECT least(clock_timestamp(), l.lease_expires_at - interval '1 microsecond') AS renewed_at
        OFFSET 0) AS t)
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::integer[], $6::boolean[], $7::text[])
    WITH ORDINALITY
AS asked (tenant_id, consumer_id, epoch, token_digest, ttl_ms, own_ttl, progress, position)
WHERE l.tenant_id = asked.tenant_id
    AND l.consumer_id = asked.consumer_id AND l.epoch = asked.epoch
    AND l.lease_expires_at > clock_timestamp()
    AND NOT l.superseded
    AND (l.ceiling_at IS NULL OR l.ceiling_at > clock_timestamp())
    AND (asked.token_digest IS NULL OR asked.token_digest = l.token_digest)
RETURNING asked.position, l.lease_expires_at, l.heard_at,
          greatest(asked.ttl_ms, CASE WHEN asked.own_ttl THEN l.lease_ttl_ms END), l.stop, false,
          l.ceiling_at
