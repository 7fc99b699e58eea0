-- One authorization as plain SQL: all that decides whether a holder may write, in one snapshot.
\set holder random(0, :holders - 1)
SELECT e.state, c.consumer_id, c.epoch, c.stream_path, c.fence,
       l.token_digest, l.lease_expires_at, clock_timestamp()
FROM entity_dispatch_state AS e
JOIN consumer_claims AS c
    ON c.tenant_id = e.tenant_id AND c.consumer_id = e.current_consumer_id
    AND c.epoch = e.current_epoch
JOIN claim_leases AS l
    ON l.tenant_id = c.tenant_id AND l.consumer_id = c.consumer_id AND l.epoch = c.epoch
WHERE e.tenant_id = 'bench' AND e.entity_url = '/held/' || :holder AND c.state = 'active';
