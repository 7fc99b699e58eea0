-- Writes the leases of live claims: new with a mint, renewed with a re-mint, marked when superseded
-- or asked to stop. The rows are locked or new, so nothing can have come between.
INSERT INTO claim_leases (
    tenant_id, consumer_id, epoch, lease_expires_at, heard_at, last_heartbeat_at, ceiling_at,
    lease_ttl_ms, superseded, stop, token_digest, progress)
SELECT
    d.tenant_id, d.consumer_id, d.epoch, d.lease_expires_at, d.heard_at, d.last_heartbeat_at,
    d.ceiling_at, d.lease_ttl_ms, d.superseded, d.stop, d.token_digest, d.progress
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::integer[], $9::boolean[], $10::boolean[], $11::bytea[], $12::text[])
AS d (tenant_id, consumer_id, epoch, lease_expires_at, heard_at, last_heartbeat_at, ceiling_at,
      lease_ttl_ms, superseded, stop, token_digest, progress)
ON CONFLICT (tenant_id, consumer_id, epoch) DO UPDATE
SET lease_expires_at = excluded.lease_expires_at,
    heard_at = excluded.heard_at,
    superseded = excluded.superseded,
    stop = excluded.stop,
    token_digest = excluded.token_digest
