-- The reaper's one scan of the live leases: those that have lapsed, and which of them lapsed longer
-- ago than the reap grace. These are candidates only; whether one is due is decided again on the
-- locked row (R1). The moment is the one that the pass gives as its beginning: by this statement's own
-- clock a claim that became due between the two would be passed over by a pass that began after it.
-- Nothing is counted of the many that run, which would cost as much again.
SELECT l.tenant_id, l.consumer_id, l.epoch, l.superseded, l.lease_expires_at, l.heard_at,
       l.lease_expires_at
           <= $1::timestamptz - $2::bigint * interval '1 millisecond'
FROM claim_leases AS l
WHERE l.lease_expires_at <= $1::timestamptz
