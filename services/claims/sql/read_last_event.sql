-- The last event up to a sequence, or the last one that was pruned: from here on, what a watcher that
-- wants nothing of the past is sent (E2).
SELECT greatest(p.highest_sequence, (SELECT max(sequence) FROM claim_events WHERE sequence <= $1)),
       pg_is_in_recovery()
FROM claim_events_pruned AS p
