-- Keeps every other writer of events out for as long as this session lasts: nobody mints or ends a
-- claim while the numbers are raised.
SELECT pg_advisory_lock($1::bigint)
