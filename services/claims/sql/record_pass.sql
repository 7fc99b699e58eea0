-- Records a reaper's pass and keeps the newest thousand.
WITH pruned AS (
    DELETE FROM reaper_passes
    WHERE id <= (SELECT id FROM reaper_passes ORDER BY id DESC OFFSET 999 LIMIT 1)
)
INSERT INTO reaper_passes (
    started_at, ended_at, scanned, expired, expired_fresh, failed, held_back, hold_reason,
    remaining_due, oldest_remaining_due_at, oldest_due_age_ms, pruned)
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
