-- Moves the sequence of events beyond every position that a watcher may have been given, and records
-- what lies before as gone, so that who resumes there is refused instead of missing what happens under
-- the same numbers (E2, E3). A sequence is not taken back with a transaction; it only rises, though.
WITH moved AS (
    SELECT setval('claim_event_sequence', greatest(s.last_value + $1::bigint, $2::bigint)) AS sequence
    FROM claim_event_sequence AS s
)
UPDATE claim_events_pruned AS p
SET highest_sequence = moved.sequence
FROM moved
WHERE p.only_row
RETURNING p.highest_sequence
