-- The database time, read when all locks are held, and the liveness record beside it (R1, R6).
SELECT clock_timestamp(), s.last_signed_at, s.resumed_at, s.outage_grace_ms
FROM (VALUES (true)) AS here (only_row)
LEFT JOIN service_liveness AS s ON s.only_row = here.only_row
