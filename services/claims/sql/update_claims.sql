-- Writes what a decision may change of a live claim: re-mint, supersede, end. A terminal row never
-- changes (I4): meeting one is a bug and aborts the transaction.
WITH written AS (
    UPDATE consumer_claims AS c
    SET fence = d.fence,
        token_digest = d.token_digest,
        state = d.state,
        superseded_by_consumer_id = d.superseded_by_consumer_id,
        superseded_by_epoch = d.superseded_by_epoch,
        ended_at = d.ended_at,
        end_reason = d.end_reason,
        entity_cleared = d.entity_cleared,
        lease_expires_at = d.lease_expires_at,
        last_heartbeat_at = d.last_heartbeat_at,
        acked_streams = d.acked_streams::jsonb,
        error_message = d.error_message,
        progress = d.progress
    FROM unnest(
        $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], $7::text[],
        $8::bigint[], $9::timestamptz[], $10::text[], $11::boolean[], $12::timestamptz[],
        $13::timestamptz[], $14::text[], $15::text[], $16::text[])
    AS d (tenant_id, consumer_id, epoch, fence, token_digest, state, superseded_by_consumer_id,
          superseded_by_epoch, ended_at, end_reason, entity_cleared, lease_expires_at,
          last_heartbeat_at, acked_streams, error_message, progress)
    WHERE c.tenant_id = d.tenant_id AND c.consumer_id = d.consumer_id
        AND c.epoch = d.epoch AND c.state IN ('active', 'superseded')
    RETURNING 1
)
SELECT claims_expect_rows(count(*), $17::bigint, 'consumer_claims') FROM written
