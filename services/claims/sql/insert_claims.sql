-- Inserts minted claims; one that a later command of the same batch ended comes with its ending.
INSERT INTO consumer_claims (
    tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
    request_id, claimed_at, ceiling_at, lease_ttl_ms, fence, token_digest, state,
    superseded_by_consumer_id, superseded_by_epoch, ended_at, end_reason, entity_cleared,
    lease_expires_at, last_heartbeat_at, acked_streams, error_message, progress)
SELECT
    d.tenant_id, d.consumer_id, d.epoch, d.entity_url, d.stream_path, d.authority, d.wake_id,
    d.runner_id, d.request_id, d.claimed_at, d.ceiling_at, d.lease_ttl_ms, d.fence,
    d.token_digest, d.state, d.superseded_by_consumer_id, d.superseded_by_epoch, d.ended_at,
    d.end_reason, d.entity_cleared, d.lease_expires_at, d.last_heartbeat_at,
    d.acked_streams::jsonb, d.error_message, d.progress
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::integer[], $13::bigint[],
    $14::bytea[], $15::text[], $16::text[], $17::bigint[], $18::timestamptz[], $19::text[],
    $20::boolean[], $21::timestamptz[], $22::timestamptz[], $23::text[], $24::text[], $25::text[])
AS d (tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
      request_id, claimed_at, ceiling_at, lease_ttl_ms, fence, token_digest, state,
      superseded_by_consumer_id, superseded_by_epoch, ended_at, end_reason, entity_cleared,
      lease_expires_at, last_heartbeat_at, acked_streams, error_message, progress)
