-- Of the entity $1: fence, high-water mark, epoch of the current claim; claims that are active and that are
-- superseded; leases; events of mints and of supersessions.
SELECT d.fence, m.highest, d.current_epoch, c.active, c.superseded, l.leases, e.minted, e.superseded
FROM entity_dispatch_state AS d
JOIN entity_epochs AS m USING (tenant_id, entity_url)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'active') AS active,
           count(*) FILTER (WHERE state = 'superseded') AS superseded
    FROM consumer_claims AS c
    WHERE (c.tenant_id, c.entity_url) = (d.tenant_id, d.entity_url)) AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS leases
    FROM claim_leases AS l JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
    WHERE (c.tenant_id, c.entity_url) = (d.tenant_id, d.entity_url)) AS l
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE type = 'minted') AS minted,
           count(*) FILTER (WHERE type = 'superseded') AS superseded
    FROM claim_events AS e
    WHERE (e.tenant_id, e.entity_url) = (d.tenant_id, d.entity_url)) AS e
WHERE d.tenant_id = 'bench' AND d.entity_url = $1 AND d.state = 'running' AND m.authority = 'bench'
