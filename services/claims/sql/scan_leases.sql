-- The reaper's one scan of the live leases: how many there are, how many of them are of active
-- claims, how many have lapsed and since when, and those that lapsed longer ago than the reap
-- grace. These are candidates only; whether one is due is decided again on the locked row (R1).
-- The moments are subqueries, so that they are computed once and not for each row.
SELECT count(*),
       count(*) FILTER (WHERE NOT l.superseded),
       count(*) FILTER (WHERE l.lease_expires_at <= (SELECT statement_timestamp())),
       min(l.lease_expires_at),
       clock_timestamp(),
       coalesce(
           array_agg(ROW(l.tenant_id, l.consumer_id, l.epoch, l.superseded, l.lease_expires_at, l.heard_at))
           FILTER (WHERE l.lease_expires_at
               <= (SELECT statement_timestamp() - $1::bigint * interval '1 millisecond')),
           '{}')
FROM claim_leases AS l
