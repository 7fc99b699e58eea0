-- A page of the identities of live claims, from behind a position.
SELECT l.tenant_id, l.consumer_id, l.epoch
FROM claim_leases AS l
WHERE (l.tenant_id, l.consumer_id, l.epoch) > ($1::text, $2::text, $3::bigint)
ORDER BY l.tenant_id, l.consumer_id, l.epoch
LIMIT $4::bigint
