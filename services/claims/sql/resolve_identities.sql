-- Which entity each identity belongs to. A claim's entity never changes, so no lock is needed (D2).
SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (tenant_id, consumer_id, epoch)
JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
