-- Self-check, leases in a range of the table's blocks: those without a live claim, or of a claim in
-- the other live state (I7).
SELECT l.tenant_id, l.consumer_id, l.epoch
FROM claim_leases AS l
WHERE l.ctid >= format('(%s,0)', $1::bigint)::tid AND l.ctid < format('(%s,0)', $2::bigint)::tid
    AND NOT EXISTS (
        SELECT FROM consumer_claims AS c
        WHERE c.tenant_id = l.tenant_id AND c.consumer_id = l.consumer_id AND c.epoch = l.epoch
            AND c.state = CASE WHEN l.superseded THEN 'superseded' ELSE 'active' END)
