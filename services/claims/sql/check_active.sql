-- Self-check, a page of active claims by entity: those that are not their entity's current one (I2)
-- or have no lease (I7), and, whatever it is like, the last one of a full page.
-- Subqueries of one value: those of EXISTS may be answered by reading the other table whole.
WITH page AS MATERIALIZED (
    SELECT tenant_id, entity_url, consumer_id, epoch
    FROM consumer_claims
    WHERE state = 'active' AND (tenant_id, entity_url) > ($1, $2)
    ORDER BY tenant_id, entity_url
    LIMIT 1000
)
SELECT f.tenant_id, f.entity_url, f.consumer_id, f.epoch, f.is_current, f.has_lease, f.is_last
FROM (
    SELECT p.*, row_number() OVER (ORDER BY p.tenant_id, p.entity_url) = 1000 AS is_last,
        (
            SELECT true FROM entity_dispatch_state AS e
            WHERE e.tenant_id = p.tenant_id AND e.entity_url = p.entity_url
                AND e.current_consumer_id = p.consumer_id AND e.current_epoch = p.epoch)
            IS NOT NULL AS is_current,
        (
            SELECT true FROM claim_leases AS l
            WHERE l.tenant_id = p.tenant_id AND l.consumer_id = p.consumer_id
                AND l.epoch = p.epoch)
            IS NOT NULL AS has_lease
    FROM page AS p) AS f
WHERE f.is_last OR NOT f.is_current OR NOT f.has_lease
