-- One done as plain SQL: locks in the order of the rules, the guarded end of the claim, its lease, the
-- entity's release and the event.
BEGIN;
SELECT state, current_consumer_id, current_epoch FROM entity_dispatch_state
    WHERE tenant_id = 'bench' AND entity_url = '/sql/' || :entity FOR NO KEY UPDATE;
SELECT state, fence, stream_path FROM consumer_claims
    WHERE tenant_id = 'bench' AND consumer_id = 's' || :client_id || '_' || :consumer AND epoch = 1
    FOR NO KEY UPDATE;
SELECT lease_expires_at, last_heartbeat_at, token_digest FROM claim_leases
    WHERE tenant_id = 'bench' AND consumer_id = 's' || :client_id || '_' || :consumer AND epoch = 1
    FOR NO KEY UPDATE;
UPDATE consumer_claims AS c
    SET state = 'released', ended_at = clock_timestamp(), end_reason = 'done', entity_cleared = true,
        lease_expires_at = l.lease_expires_at, last_heartbeat_at = l.last_heartbeat_at,
        acked_streams = '[]', error_message = '', progress = l.progress
    FROM claim_leases AS l
    WHERE c.tenant_id = 'bench' AND c.consumer_id = 's' || :client_id || '_' || :consumer
        AND c.epoch = 1 AND c.state IN ('active', 'superseded')
        AND l.tenant_id = c.tenant_id AND l.consumer_id = c.consumer_id AND l.epoch = c.epoch
        AND l.token_digest = sha256(:consumer::text::bytea);
DELETE FROM claim_leases
    WHERE tenant_id = 'bench' AND consumer_id = 's' || :client_id || '_' || :consumer AND epoch = 1;
UPDATE entity_dispatch_state
    SET state = 'idle', current_consumer_id = NULL, current_epoch = NULL,
        last_ended_at = clock_timestamp(), last_completed_at = clock_timestamp(), last_error = NULL
    WHERE tenant_id = 'bench' AND entity_url = '/sql/' || :entity
        AND current_consumer_id = 's' || :client_id || '_' || :consumer AND current_epoch = 1;
INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
    VALUES ('bench', '/sql/' || :entity, '/sql/' || :entity || '/main',
            's' || :client_id || '_' || :consumer, 1, 1, 'released', 'done', 'holder', clock_timestamp());
COMMIT;
