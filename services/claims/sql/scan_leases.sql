-- The reaper's one scan of the live leases: how many there are, how many of them are of active
-- claims, how many have lapsed and since when, and those that lapsed longer ago than the reap
-- grace. These are candidates only; whether one is due is decided again on the locked row (R1).
SELECT count(*),
       count(*) FILTER (WHERE NOT l.superseded),
       count(*) FILTER (WHERE l.lease_expires_at <= l.now),
       min(l.lease_expires_at),
       clock_timestamp(),
       coalesce(array_agg(l.tenant_id) FILTER (WHERE l.candidate), '{}'),
       coalesce(array_agg(l.consumer_id) FILTER (WHERE l.candidate), '{}'),
       coalesce(array_agg(l.epoch) FILTER (WHERE l.candidate), '{}'),
       coalesce(array_agg(l.superseded) FILTER (WHERE l.candidate), '{}'),
       coalesce(array_agg(l.lease_expires_at) FILTER (WHERE l.candidate), '{}'),
       coalesce(array_agg(l.heard_at) FILTER (WHERE l.candidate), '{}')
FROM (
    SELECT tenant_id, consumer_id, epoch, superseded, lease_expires_at, heard_at,
           statement_timestamp() AS now,
           lease_expires_at <= statement_timestamp() - $1::bigint * interval '1 millisecond'
               AS candidate
    FROM claim_leases) AS l
