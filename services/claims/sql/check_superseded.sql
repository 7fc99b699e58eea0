-- Self-check, a page of superseded claims by entity: those that have no lease (I7), and, whatever it
-- is like, the last one of a full page. An entity may have many.
WITH page AS MATERIALIZED (
    SELECT tenant_id, entity_url, consumer_id, epoch
    FROM consumer_claims
    WHERE state = 'superseded' AND (tenant_id, entity_url, consumer_id, epoch) > ($1, $2, $3, $4)
    ORDER BY tenant_id, entity_url, consumer_id, epoch
    LIMIT 1000
)
SELECT f.tenant_id, f.entity_url, f.consumer_id, f.epoch, f.has_lease, f.is_last
FROM (
    SELECT p.*,
        row_number() OVER (ORDER BY p.tenant_id, p.entity_url, p.consumer_id, p.epoch) = 1000
            AS is_last,
        (
            SELECT true FROM claim_leases AS l
            WHERE l.tenant_id = p.tenant_id AND l.consumer_id = p.consumer_id
                AND l.epoch = p.epoch)
            IS NOT NULL AS has_lease
    FROM page AS p) AS f
WHERE f.is_last OR NOT f.has_lease
