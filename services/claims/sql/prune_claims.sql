-- Removes terminal claims that ended longer ago than the retention (T1), the longest ended first
-- and a bounded number. Rows that somebody holds wait for the next step.
WITH old AS (
    SELECT tenant_id, consumer_id, epoch
    FROM consumer_claims
    WHERE ended_at <= statement_timestamp() - $1::bigint * interval '1 millisecond'
    ORDER BY ended_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
DELETE FROM consumer_claims AS c
USING old
WHERE c.tenant_id = old.tenant_id AND c.consumer_id = old.consumer_id AND c.epoch = old.epoch
