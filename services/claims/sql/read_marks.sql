-- High-water marks: the highest epoch ever accepted for an entity and authority (M3).
SELECT m.tenant_id, m.entity_url, m.authority, m.highest
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (tenant_id, entity_url, authority)
JOIN entity_epochs AS m
    ON m.tenant_id = asked.tenant_id AND m.entity_url = asked.entity_url
    AND m.authority = asked.authority
