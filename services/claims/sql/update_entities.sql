-- Writes entities that this transaction has locked. A terminal one never changes (I9).
WITH written AS (
    UPDATE entity_dispatch_state AS e
    SET state = d.state,
        fence = d.fence,
        current_consumer_id = d.current_consumer_id,
        current_epoch = d.current_epoch,
        last_claimed_at = d.last_claimed_at,
        last_ended_at = d.last_ended_at,
        last_completed_at = d.last_completed_at,
        last_error = d.last_error
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[],
        $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[])
    AS d (tenant_id, entity_url, state, fence, current_consumer_id, current_epoch,
          last_claimed_at, last_ended_at, last_completed_at, last_error)
    WHERE e.tenant_id = d.tenant_id AND e.entity_url = d.entity_url
        AND e.state NOT IN ('stopped', 'killed') AND e.fence <= d.fence
    RETURNING 1
)
SELECT claims_expect_rows(count(*), $11::bigint, 'entity_dispatch_state') FROM written
