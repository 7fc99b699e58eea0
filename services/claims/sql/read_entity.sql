-- GetEntity.
SELECT e.tenant_id, e.entity_url, e.state, e.fence, e.current_consumer_id, e.current_epoch,
       e.last_claimed_at, e.last_ended_at, e.last_completed_at, e.last_error
FROM entity_dispatch_state AS e
WHERE e.tenant_id = $1 AND e.entity_url = $2
