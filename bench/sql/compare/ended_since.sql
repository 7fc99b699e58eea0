-- How many of the claims that ended since $1 did so in good order: released, with the event, their entity
-- idle after its first claim, no lease left.
SELECT count(*)
FROM consumer_claims AS c
JOIN claim_events AS e
    ON (e.tenant_id, e.consumer_id, e.epoch) = (c.tenant_id, c.consumer_id, c.epoch)
    AND e.type = 'released'
JOIN entity_dispatch_state AS d ON (d.tenant_id, d.entity_url) = (c.tenant_id, c.entity_url)
WHERE c.ended_at >= $1 AND c.state = 'released' AND d.state = 'idle' AND d.fence = 1
    AND NOT EXISTS (SELECT FROM claim_leases AS l
        WHERE (l.tenant_id, l.consumer_id, l.epoch) = (c.tenant_id, c.consumer_id, c.epoch))
