ALTER TABLE reaper_passes
    DROP CONSTRAINT reaper_pass_fresh_are_expired,
    DROP COLUMN oldest_remaining_due_at,
    DROP COLUMN expired_fresh;
