-- Active claims of a group: as many as $2, named after $1, each the current one of an entity of its
-- own. Their leases, $4 seconds long, lapse $3 seconds from now; in the past if that is negative.
WITH asked AS MATERIALIZED (
    SELECT 'default' AS tenant_id,
           format('/%s/%s', $1::text, n) AS entity_url,
           format('%s_%s', $1, n) AS consumer_id,
           statement_timestamp() + $3::float8 * interval '1 second' AS lease_expires_at,
           statement_timestamp() + ($3 - $4::float8) * interval '1 second' AS claimed_at,
           ($4 * 1000)::integer AS lease_ttl_ms,
           sha256(convert_to(format('%s.%s', $1, n), 'UTF8')) AS token_digest
    FROM generate_series(0, $2::bigint - 1) AS n
), entities AS (
    INSERT INTO entity_dispatch_state (
        tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at)
    SELECT tenant_id, entity_url, 'running', 1, consumer_id, 1, claimed_at FROM asked
), marks AS (
    INSERT INTO entity_epochs (tenant_id, entity_url, authority, highest)
    SELECT tenant_id, entity_url, '', 1 FROM asked
), leases AS (
    INSERT INTO claim_leases (
        tenant_id, consumer_id, epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
        token_digest)
    SELECT tenant_id, consumer_id, 1, lease_expires_at, claimed_at, lease_ttl_ms, false, false,
           token_digest
    FROM asked
), events AS (
    INSERT INTO claim_events (
        tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor,
        occurred_at)
    SELECT tenant_id, entity_url, entity_url || '/main', consumer_id, 1, 1, 'minted', '', 'holder',
           claimed_at
    FROM asked
)
INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state)
SELECT tenant_id, consumer_id, 1, entity_url, entity_url || '/main', '', '', '', '', claimed_at,
       lease_ttl_ms, 1, token_digest, 'active'
FROM asked
