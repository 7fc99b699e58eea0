-- Superseded claims of entities that are being killed: KILL ends them too. The entities are locked,
-- so none can come or go.
SELECT c.tenant_id, c.consumer_id, c.epoch
FROM unnest($1::text[], $2::text[]) AS asked (tenant_id, entity_url)
JOIN consumer_claims AS c
    ON c.tenant_id = asked.tenant_id AND c.entity_url = asked.entity_url
WHERE c.state = 'superseded'
