-- The live claims of the entities from $1 to $2: every second one, of an odd number, has one, minted
-- 40 minutes to 3 hours ago and heard of within the last minutes. Of the fill's entities ($3 numbers
-- before the first), each has $4 finished claims, and the first $5 one more.
WITH made AS MATERIALIZED (
    SELECT
        n, $4::bigint + (n - $3::bigint <= $5::bigint)::int + 1 AS k,
        pg_temp.tenant_of(n) AS tenant_id, pg_temp.entity_of(n) AS entity_url,
        pg_temp.consumer_of(n, $4::bigint + (n - $3::bigint <= $5::bigint)::int + 1) AS consumer_id,
        now() - interval '40 minutes' - (n % 8400) * interval '1 second' AS claimed_at,
        now() - (n % 240) * interval '1 second' AS heard_at
    FROM generate_series($1::bigint, $2::bigint) AS n
    WHERE n % 2 = 1
), claims AS (
    INSERT INTO consumer_claims (
        tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
        request_id, claimed_at, lease_ttl_ms, fence, token_digest, state)
    SELECT
        tenant_id, consumer_id, k, entity_url, entity_url || '/main', pg_temp.authority_of(n),
        'wake_' || substr(consumer_id, 3, 12), 'runner-' || n % 500,
        CASE WHEN n % 4 = 1 THEN 'r_' || substr(consumer_id, 9, 16) ELSE '' END, claimed_at, 600000,
        k, sha256(consumer_id::bytea), 'active'
    FROM made
), leases AS (
    INSERT INTO claim_leases (
        tenant_id, consumer_id, epoch, lease_expires_at, heard_at, last_heartbeat_at, lease_ttl_ms,
        superseded, stop, token_digest)
    SELECT
        tenant_id, consumer_id, k, heard_at + interval '10 minutes', heard_at, heard_at, 600000,
        false, false, sha256(consumer_id::bytea)
    FROM made
)
INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
SELECT
    tenant_id, entity_url, entity_url || '/main', consumer_id, k, k, 'minted', '', 'holder',
    claimed_at
FROM made
