-- Makes the rows of entities named for the first time, by a mint or a signal, in key order.
INSERT INTO entity_dispatch_state (tenant_id, entity_url)
SELECT asked.tenant_id, asked.entity_url
FROM unnest($1::text[], $2::text[]) AS asked (tenant_id, entity_url)
WHERE NOT EXISTS (
    SELECT FROM entity_dispatch_state AS e
    WHERE e.tenant_id = asked.tenant_id AND e.entity_url = asked.entity_url)
ORDER BY asked.tenant_id COLLATE "C", asked.entity_url COLLATE "C"
ON CONFLICT DO NOTHING
