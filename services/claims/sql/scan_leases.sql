-- The reaper's one scan of the live leases: those that have lapsed, and which of them lapsed longer
-- ago than the reap grace. These are candidates only; whether one is due is decided again on the
-- locked row (R1). The moments are subqueries, so that they are computed once and not for each row;
-- and nothing is counted of the many that run, which would cost as much again.
SELECT l.tenant_id, l.consumer_id, l.epoch, l.superseded, l.lease_expires_at, l.heard_at,
       l.lease_expires_at
           <= (SELECT statement_timestamp() - $1::bigint * interval '1 millisecond')
FROM claim_leases AS l
WHERE l.lease_expires_at <= (SELECT statement_timestamp())
