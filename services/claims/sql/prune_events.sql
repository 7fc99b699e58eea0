-- Removes events older than the retention (T1) from the beginning of the sequence, looking at a
-- bounded number of them, and records the highest sequence removed in the same transaction, so that
-- nobody who resumes below it is told less than happened (E3).
WITH first AS (
    SELECT sequence, occurred_at
    FROM claim_events
    ORDER BY sequence
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM claim_events AS e
    USING first
    WHERE e.sequence = first.sequence
        AND first.occurred_at <= statement_timestamp() - $1::bigint * interval '1 millisecond'
    RETURNING e.sequence
), recorded AS (
    UPDATE claim_events_pruned AS p
    SET highest_sequence = greatest(p.highest_sequence, r.highest)
    FROM (SELECT max(sequence) AS highest FROM removed) AS r
    WHERE p.only_row AND r.highest IS NOT NULL
)
SELECT count(*) FROM removed
