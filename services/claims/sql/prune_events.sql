-- Removes events older than the retention (T1) from the beginning of the sequence, looking at a
-- bounded number of them, and records the highest sequence removed in the same transaction, so that
-- nobody who resumes below it is told less than happened (E3). Nothing is locked that stays.
WITH first AS MATERIALIZED (
    SELECT sequence, occurred_at FROM claim_events ORDER BY sequence LIMIT 1000
), old AS (
    SELECT sequence
    FROM claim_events
    WHERE sequence IN (
        SELECT sequence FROM first
        WHERE occurred_at <= statement_timestamp() - $1::bigint * interval '1 millisecond')
    FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM claim_events AS e USING old WHERE e.sequence = old.sequence RETURNING e.sequence
), recorded AS (
    UPDATE claim_events_pruned AS p
    SET highest_sequence = greatest(p.highest_sequence, r.highest)
    FROM (SELECT max(sequence) AS highest FROM removed) AS r
    WHERE p.only_row AND r.highest IS NOT NULL
)
SELECT count(*) FROM removed
