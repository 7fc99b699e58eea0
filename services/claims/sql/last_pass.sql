-- The last recorded pass of any reaper.
SELECT started_at, ended_at, scanned, expired, failed, held_back, hold_reason, remaining_due,
       oldest_remaining_due_at, pruned
FROM reaper_passes
ORDER BY id DESC
LIMIT 1
