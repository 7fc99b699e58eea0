-- Takes away the claims that ended since $1, and all that came into being with them.
WITH claims AS (
    DELETE FROM consumer_claims WHERE ended_at >= $1 RETURNING tenant_id, consumer_id, entity_url
), marks AS (
    DELETE FROM entity_epochs AS m USING claims AS c
    WHERE (m.tenant_id, m.entity_url) = (c.tenant_id, c.entity_url)
), events AS (
    DELETE FROM claim_events AS e USING claims AS c
    WHERE (e.tenant_id, e.consumer_id) = (c.tenant_id, c.consumer_id)
)
DELETE FROM entity_dispatch_state AS d USING claims AS c
WHERE (d.tenant_id, d.entity_url) = (c.tenant_id, c.entity_url)
