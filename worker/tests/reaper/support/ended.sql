-- Claims of a group that were done: as many as $2, named after $1, each on an entity of its own,
-- which is idle since. They ended $3 seconds ago, one second after their mint.
WITH asked AS MATERIALIZED (
    SELECT 'default' AS tenant_id,
           format('/%s/%s', $1::text, n) AS entity_url,
           format('%s_%s', $1, n) AS consumer_id,
           statement_timestamp() - $3::float8 * interval '1 second' AS ended_at,
           statement_timestamp() - ($3 + 1) * interval '1 second' AS claimed_at,
           sha256(convert_to(format('%s.%s', $1, n), 'UTF8')) AS token_digest,
           n
    FROM generate_series(0, $2::bigint - 1) AS n
), entities AS (
    INSERT INTO entity_dispatch_state (
        tenant_id, entity_url, state, fence, last_claimed_at, last_ended_at, last_completed_at)
    SELECT tenant_id, entity_url, 'idle', 1, claimed_at, ended_at, ended_at FROM asked
), marks AS (
    INSERT INTO entity_epochs (tenant_id, entity_url, authority, highest)
    SELECT tenant_id, entity_url, '', 1 FROM asked
), events AS (
    INSERT INTO claim_events (
        tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor,
        occurred_at)
    SELECT tenant_id, entity_url, entity_url || '/main', consumer_id, 1, 1, type, reason, 'holder',
           occurred_at
    FROM asked,
        LATERAL (VALUES ('minted', '', claimed_at), ('released', 'done', ended_at))
            AS happened (type, reason, occurred_at)
    ORDER BY n, occurred_at
)
INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state, ended_at, end_reason,
    entity_cleared, lease_expires_at, acked_streams, error_message)
SELECT tenant_id, consumer_id, 1, entity_url, entity_url || '/main', '', '', '', '', claimed_at,
       30000, 1, token_digest, 'released', ended_at, 'done', true,
       claimed_at + interval '30 seconds', '[]', ''
FROM asked
