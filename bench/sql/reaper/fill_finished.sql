-- The k-th claims ($3) of the entities from $1 to $2, all finished, each with its two events: in 20,
-- 18 were completed, one failed, one expired. The rounds ($4) of a fill spread evenly over the six
-- days that ended four hours ago, and within a round the entities ($5 numbers before the first, $6
-- in all), so that claims come in the order of time. Without $7 their events are left out.
WITH numbered AS (
    SELECT
        n, pg_temp.tenant_of(n) AS tenant_id, pg_temp.entity_of(n) AS entity_url,
        pg_temp.consumer_of(n, $3::bigint) AS consumer_id,
        CASE n % 20 WHEN 7 THEN 'failed' WHEN 13 THEN 'expired' ELSE 'released' END AS state,
        now() - interval '6 days 4 hours'
            + ($3::bigint - 1 + (n - $5::bigint)::float8 / $6::bigint) / $4::bigint * interval '6 days'
            AS claimed_at
    FROM generate_series($1::bigint, $2::bigint) AS n
), made AS MATERIALIZED (
    SELECT
        numbered.*, claimed_at + (15 + n % 285) * interval '1 second' AS ended_at,
        CASE state WHEN 'failed' THEN 'failed' WHEN 'expired' THEN 'lease_lapsed' ELSE 'done' END
            AS end_reason
    FROM numbered
), claims AS (
    INSERT INTO consumer_claims (
        tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
        request_id, claimed_at, lease_ttl_ms, fence, token_digest, state, ended_at, end_reason,
        entity_cleared, lease_expires_at, last_heartbeat_at, acked_streams, error_message)
    SELECT
        tenant_id, consumer_id, $3, entity_url, entity_url || '/main', pg_temp.authority_of(n),
        'wake_' || substr(consumer_id, 3, 12), 'runner-' || n % 500,
        CASE WHEN n % 4 = 0 THEN 'r_' || substr(consumer_id, 9, 16) ELSE '' END, claimed_at, 30000,
        $3, sha256(consumer_id::bytea), state, ended_at, end_reason, true,
        ended_at + CASE state WHEN 'expired' THEN interval '-8 seconds' ELSE interval '22 seconds' END,
        ended_at - interval '8 seconds',
        CASE WHEN state <> 'expired'
             THEN jsonb_build_array(jsonb_build_object('path', '/in/main', 'offset', n::text)) END,
        CASE state WHEN 'failed' THEN 'the run did not come to an end' ELSE '' END
    FROM made
)
INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
SELECT
    m.tenant_id, m.entity_url, m.entity_url || '/main', m.consumer_id, $3, $3, v.type, v.reason,
    v.actor, v.occurred_at
FROM made AS m
CROSS JOIN LATERAL (VALUES
    ('minted', '', 'holder', m.claimed_at),
    (m.state, m.end_reason, CASE m.state WHEN 'expired' THEN 'reaper' ELSE 'holder' END, m.ended_at)
) AS v (type, reason, actor, occurred_at)
WHERE $7::boolean
