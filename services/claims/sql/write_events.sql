-- Records accepted changes in order (E1). The sequence is drawn under a shared advisory lock that
-- lasts until commit, so that a reader which sees a gap can wait for whoever may yet fill it (E2).
INSERT INTO claim_events (
    tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor, occurred_at)
SELECT
    d.tenant_id, d.entity_url, d.stream_path, d.consumer_id, d.epoch, d.fence, d.type, d.reason,
    d.actor, d.occurred_at
FROM (SELECT pg_advisory_xact_lock_shared($1)) AS writing
CROSS JOIN unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[])
WITH ORDINALITY
AS d (tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor,
      occurred_at, position)
ORDER BY d.position
