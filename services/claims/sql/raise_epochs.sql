-- Raises high-water marks; they never fall (M3, I6).
INSERT INTO entity_epochs AS m (tenant_id, entity_url, authority, highest)
SELECT d.tenant_id, d.entity_url, d.authority, d.highest
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
AS d (tenant_id, entity_url, authority, highest)
ON CONFLICT (tenant_id, entity_url, authority) DO UPDATE
SET highest = excluded.highest
WHERE m.highest < excluded.highest
