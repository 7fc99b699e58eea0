-- How many live claims a tenant has, superseded ones too, as far as a limit needs to know: not beyond it.
SELECT count(*)
FROM (
    SELECT FROM claim_leases AS l
    WHERE l.tenant_id = $1::text
    ORDER BY l.tenant_id, l.consumer_id, l.epoch
    LIMIT $2::bigint) AS live
