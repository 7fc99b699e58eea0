-- Self-check, entities in a range of the table's blocks: what breaks I2 (the current claim is an
-- active one of this entity) or I3 (running and stopping have a current claim; idle, stopped and
-- killed have none). One snapshot: a change under way is seen whole or not at all.
SELECT e.tenant_id, e.entity_url, e.state, e.current_consumer_id, e.current_epoch
FROM entity_dispatch_state AS e
WHERE e.ctid >= format('(%s,0)', $1::bigint)::tid AND e.ctid < format('(%s,0)', $2::bigint)::tid
    AND (
        (e.state IN ('running', 'stopping') AND e.current_epoch IS NULL)
        OR (e.state IN ('idle', 'stopped', 'killed') AND e.current_epoch IS NOT NULL)
        OR (e.current_epoch IS NOT NULL AND NOT EXISTS (
            SELECT FROM consumer_claims AS c
            WHERE c.tenant_id = e.tenant_id AND c.consumer_id = e.current_consumer_id
                AND c.epoch = e.current_epoch
                AND c.state = 'active' AND c.entity_url = e.entity_url)))
