-- The database time, read when all locks are held, and beside it the liveness record (R1, R6) and the
-- number above which unknown entities are numbered (I6, after a restore).
SELECT clock_timestamp(), s.last_signed_at, s.resumed_at, s.outage_grace_ms,
       coalesce(f.raised_to, 0)
FROM (VALUES (true)) AS here (only_row)
LEFT JOIN service_liveness AS s ON s.only_row = here.only_row
LEFT JOIN number_floor AS f ON f.only_row = here.only_row
