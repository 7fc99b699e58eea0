-- For each stream asked about: its entity, that entity's current claim and lease, in one snapshot
-- (W1, W2). Whether the write is allowed is decided by domain::authorize.
SELECT asked.position, e.state, c.consumer_id, c.epoch, c.stream_path, c.fence,
       l.token_digest, l.lease_expires_at, clock_timestamp()
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant_id, entity_url, position)
JOIN entity_dispatch_state AS e
    ON e.tenant_id = asked.tenant_id AND e.entity_url = asked.entity_url
JOIN consumer_claims AS c
    ON c.tenant_id = e.tenant_id AND c.consumer_id = e.current_consumer_id
    AND c.epoch = e.current_epoch
JOIN claim_leases AS l
    ON l.tenant_id = c.tenant_id AND l.consumer_id = c.consumer_id AND l.epoch = c.epoch
WHERE c.state = 'active'
