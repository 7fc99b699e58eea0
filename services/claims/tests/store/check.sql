-- 12 000 entities with an active claim each, 6 000 superseded claims of one of them, and the leases
-- of all. The guards that a test database carries do not concern staging.
SET session_replication_role = replica;

INSERT INTO entity_dispatch_state (
    tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at)
SELECT 'default', '/e' || n, 'running', 1, 'w-' || n, 1, now() FROM generate_series(1, 12000) AS n;

INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state, superseded_by_consumer_id,
    superseded_by_epoch)
SELECT 'default', 'w-' || n, 1, '/e' || n, '/e' || n || '/main', '', '', '', '', now(), 30000, 1,
       sha256(n::text::bytea), 'active', NULL, NULL::bigint
FROM generate_series(1, 12000) AS n
UNION ALL
SELECT 'default', 's-' || n, 1, '/e7', '/e7/main', '', '', '', '', now(), 30000, 1,
       sha256(n::text::bytea), 'superseded', 'w-7', 1
FROM generate_series(1, 6000) AS n;

INSERT INTO claim_leases (
    tenant_id, consumer_id, epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
    token_digest)
SELECT tenant_id, consumer_id, epoch, now() + interval '30 seconds', now(), lease_ttl_ms,
       state = 'superseded', false, token_digest
FROM consumer_claims;

SET session_replication_role = DEFAULT;
ANALYZE;
