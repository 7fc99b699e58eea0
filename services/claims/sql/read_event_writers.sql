-- The transactions that hold the lock that writers of events share (E2), and their sessions. One
-- that still waits for the lock has drawn nothing yet. The key of 64 bits stands in two columns. If
-- there are none, the row says so; on a standby, which knows of no lock of its primary, it says that.
WITH asked AS (
    SELECT $1::bigint AS key
)
SELECT l.virtualtransaction, l.pid, pg_is_in_recovery()
FROM asked
LEFT JOIN pg_locks AS l
    ON l.classid = ((asked.key >> 32) & 4294967295)::oid
    AND l.objid = (asked.key & 4294967295)::oid
    AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
