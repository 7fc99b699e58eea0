-- What a pass leaves for others to know: the reapers that come after it, and whoever asks how the
-- reaper is doing.

ALTER TABLE reaper_passes
    ADD COLUMN expired_fresh           bigint NOT NULL DEFAULT 0,
    ADD COLUMN oldest_remaining_due_at timestamptz,
    ADD CONSTRAINT reaper_pass_fresh_are_expired CHECK (expired_fresh BETWEEN 0 AND expired);

COMMENT ON COLUMN reaper_passes.expired_fresh IS
    'How many of the expired claims were active and had been due for less than the brake''s span: a mass death that is spread over several passes is still one (R7).';
COMMENT ON COLUMN reaper_passes.oldest_remaining_due_at IS
    'From when the oldest claim was due that the pass left behind; null if it left none.';
COMMENT ON CONSTRAINT reaper_pass_fresh_are_expired ON reaper_passes IS 'R7: a part of what was expired.';
