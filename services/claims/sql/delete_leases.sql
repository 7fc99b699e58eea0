-- The lease goes with the end of its claim (I7).
DELETE FROM claim_leases AS l
USING unnest($1::text[], $2::text[], $3::bigint[]) AS ended (tenant_id, consumer_id, epoch)
WHERE l.tenant_id = ended.tenant_id AND l.consumer_id = ended.consumer_id
    AND l.epoch = ended.epoch
