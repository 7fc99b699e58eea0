-- Ages $1 leases, by chance ($2 is the seed), as if their holders had not been heard of for a lease's
-- length: they end evenly between $3 and $4 seconds from now, which is in the past where negative.
UPDATE claim_leases AS l
SET lease_expires_at = expires_at,
    heard_at = expires_at - interval '10 minutes',
    last_heartbeat_at = expires_at - interval '10 minutes'
FROM (
    SELECT tenant_id, consumer_id, epoch,
           now() + ($3::float8 + ($4::float8 - $3::float8) * random()) * interval '1 second'
               AS expires_at
    FROM claim_leases
    ORDER BY hashtextextended(consumer_id, $2::bigint)
    LIMIT $1::bigint) AS chosen
WHERE l.tenant_id = chosen.tenant_id AND l.consumer_id = chosen.consumer_id
    AND l.epoch = chosen.epoch
