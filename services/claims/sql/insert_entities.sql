-- Makes the rows of entities named for the first time, by a mint or a signal, in key order. If
-- somebody else has made one meanwhile the transaction aborts: it decided without that row.
INSERT INTO entity_dispatch_state (
    tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at,
    last_ended_at, last_completed_at, last_error)
SELECT
    d.tenant_id, d.entity_url, d.state, d.fence, d.current_consumer_id, d.current_epoch,
    d.last_claimed_at, d.last_ended_at, d.last_completed_at, d.last_error
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[],
    $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[])
AS d (tenant_id, entity_url, state, fence, current_consumer_id, current_epoch,
      last_claimed_at, last_ended_at, last_completed_at, last_error)
