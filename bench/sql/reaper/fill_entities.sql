-- The entities from $1 to $2 as their claims left them, and their high-water marks; those that never
-- had a claim have no row. $3, $4, $5 as for the live claims.
WITH made AS MATERIALIZED (
    SELECT
        n, pg_temp.tenant_of(n) AS tenant_id, pg_temp.entity_of(n) AS entity_url,
        n % 2 = 1 AS live, $4::bigint + (n - $3::bigint <= $5::bigint)::int AS finished
    FROM generate_series($1::bigint, $2::bigint) AS n
), claimed AS (
    SELECT made.*, finished + live::int AS k FROM made WHERE live OR finished > 0
), marks AS (
    INSERT INTO entity_epochs (tenant_id, entity_url, authority, highest)
    SELECT tenant_id, entity_url, pg_temp.authority_of(n), k FROM claimed
)
INSERT INTO entity_dispatch_state (
    tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at,
    last_ended_at, last_completed_at)
SELECT
    tenant_id, entity_url, CASE WHEN live THEN 'running' ELSE 'idle' END, k,
    CASE WHEN live THEN pg_temp.consumer_of(n, k) END, CASE WHEN live THEN k END,
    now() - interval '3 hours', CASE WHEN finished > 0 THEN now() - interval '4 hours' END,
    CASE WHEN finished > 0 THEN now() - interval '4 hours' END
FROM claimed
