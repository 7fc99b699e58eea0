-- 100 000 entities, 200 000 claims of which 20 000 are live and 1 000 of these superseded. The
-- guards that a test database carries do not concern staging.
SET session_replication_role = replica;

INSERT INTO entity_dispatch_state (
    tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at)
SELECT
    CASE WHEN n % 10 = 0 THEN 'other' ELSE 'default' END, '/load/entity-' || n,
    CASE WHEN n <= 19000 THEN 'running' ELSE 'idle' END, 2,
    CASE WHEN n <= 19000 THEN 'w-' || n END, CASE WHEN n <= 19000 THEN 2 END, now()
FROM generate_series(1, 100000) AS n;

INSERT INTO entity_epochs (tenant_id, entity_url, authority, highest)
SELECT tenant_id, entity_url, 'sub', 2 FROM entity_dispatch_state;

WITH claims AS (
    SELECT n, epoch, CASE WHEN n % 10 = 0 THEN 'other' ELSE 'default' END AS tenant_id,
           '/load/entity-' || n AS entity_url,
           CASE WHEN epoch = 2 AND n <= 19000 THEN 'active'
                WHEN epoch = 1 AND n <= 1000 THEN 'superseded'
                ELSE 'released' END AS state,
           now() - n * interval '1 second' AS claimed_at
    FROM generate_series(1, 100000) AS n, generate_series(1, 2) AS epoch
)
INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state, superseded_by_consumer_id,
    superseded_by_epoch, ended_at, end_reason, entity_cleared, lease_expires_at, acked_streams,
    error_message)
SELECT
    tenant_id, 'w-' || n, epoch, entity_url, entity_url || '/main', 'sub', 'wake-' || n,
    'runner-' || n % 500, CASE WHEN n % 2 = 0 THEN 'r-' || n ELSE '' END, claimed_at, 30000, epoch,
    sha256((n || '.' || epoch)::bytea), state,
    CASE WHEN state = 'superseded' THEN 'w-' || n END, CASE WHEN state = 'superseded' THEN 2 END,
    ended_at, CASE WHEN ended_at IS NOT NULL THEN 'done' END, CASE WHEN ended_at IS NOT NULL THEN true END,
    ended_at, CASE WHEN ended_at IS NOT NULL THEN '[]'::jsonb END,
    CASE WHEN ended_at IS NOT NULL THEN '' END
FROM claims, LATERAL (
    SELECT CASE WHEN state = 'released' THEN claimed_at + interval '1 second' END AS ended_at
) AS ends;

INSERT INTO claim_leases (
    tenant_id, consumer_id, epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
    token_digest)
SELECT tenant_id, consumer_id, epoch, now() + interval '30 seconds', now(), lease_ttl_ms,
       state = 'superseded', false, token_digest
FROM consumer_claims WHERE state IN ('active', 'superseded');

INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
SELECT tenant_id, entity_url, stream_path, consumer_id, epoch, fence, 'minted', '', 'holder',
       claimed_at
FROM consumer_claims;

INSERT INTO reaper_passes (
    started_at, ended_at, scanned, expired, failed, held_back, remaining_due, pruned)
SELECT now(), now(), 20000, 0, 0, 0, 0, 0 FROM generate_series(1, 1000);

SET session_replication_role = DEFAULT;
ANALYZE;
