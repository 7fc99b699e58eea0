-- 2 500 claims that were minted and released eight days ago, each with its two events. The guards
-- that a test database carries do not concern staging.
SET session_replication_role = replica;

INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state, ended_at, end_reason,
    entity_cleared, lease_expires_at, acked_streams, error_message)
SELECT 'default', 'w-' || n, 1, '/e' || n, '/e' || n || '/main', 'sub', '', '', '',
       now() - interval '8 days', 30000, 1, sha256(n::text::bytea), 'released',
       now() - interval '8 days', 'done', true, now() - interval '8 days', '[]', ''
FROM generate_series(1, 2500) AS n;

INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
SELECT tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, '', 'holder', ended_at
FROM consumer_claims, unnest(ARRAY['minted', 'released']) AS type;

SET session_replication_role = DEFAULT;
