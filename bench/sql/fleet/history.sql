-- The next events of a tenant, or of one of its entities, in order.
SELECT sequence, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at
FROM claim_events
WHERE tenant_id = $1 AND ($2 = '' OR entity_url = $2) AND sequence > $3
ORDER BY sequence
LIMIT $4
