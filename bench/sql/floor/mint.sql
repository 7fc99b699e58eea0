-- One mint as plain SQL on the same tables: what a user without the service would write.
BEGIN;
INSERT INTO entity_dispatch_state (tenant_id, entity_url)
    VALUES ('bench', '/sql/' || :entity) ON CONFLICT DO NOTHING;
SELECT state, fence, current_consumer_id, current_epoch FROM entity_dispatch_state
    WHERE tenant_id = 'bench' AND entity_url = '/sql/' || :entity FOR NO KEY UPDATE;
SELECT highest FROM entity_epochs
    WHERE tenant_id = 'bench' AND entity_url = '/sql/' || :entity AND authority = 'bench';
INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, lease_ttl_ms, fence, token_digest, state)
    VALUES ('bench', 's' || :client_id || '_' || :consumer, 1, '/sql/' || :entity,
            '/sql/' || :entity || '/main', 'bench', '', '', '', clock_timestamp(), 30000, 1,
            sha256(:consumer::text::bytea), 'active');
INSERT INTO claim_leases (
    tenant_id, consumer_id, epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
    token_digest)
    VALUES ('bench', 's' || :client_id || '_' || :consumer, 1,
            clock_timestamp() + interval '30 seconds', clock_timestamp(), 30000, false, false,
            sha256(:consumer::text::bytea));
INSERT INTO entity_epochs (tenant_id, entity_url, authority, highest)
    VALUES ('bench', '/sql/' || :entity, 'bench', 1)
    ON CONFLICT (tenant_id, entity_url, authority) DO UPDATE SET highest = excluded.highest;
UPDATE entity_dispatch_state
    SET state = 'running', fence = 1, current_consumer_id = 's' || :client_id || '_' || :consumer,
        current_epoch = 1, last_claimed_at = clock_timestamp()
    WHERE tenant_id = 'bench' AND entity_url = '/sql/' || :entity;
INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
    VALUES ('bench', '/sql/' || :entity, '/sql/' || :entity || '/main',
            's' || :client_id || '_' || :consumer, 1, 1, 'minted', '', 'holder', clock_timestamp());
COMMIT;
