-- Every row is a broken invariant: its number and what breaks it. The guards see what changes; this
-- sees what stands. What is said of the whole history holds as long as none of it was pruned.
WITH live AS (
    SELECT * FROM consumer_claims WHERE state IN ('active', 'superseded')
), whole_history AS (
    SELECT FROM claim_events_pruned WHERE highest_sequence = 0
), broken (invariant, row) AS (
    SELECT 'I1', format('%s active claims of %s %s', count(*), tenant_id, entity_url)
    FROM consumer_claims WHERE state = 'active'
    GROUP BY tenant_id, entity_url HAVING count(*) > 1

    UNION ALL
    SELECT 'I2 current is active and its own', format('%s %s', e.tenant_id, e.entity_url)
    FROM entity_dispatch_state AS e
    LEFT JOIN consumer_claims AS c
        ON c.tenant_id = e.tenant_id AND c.consumer_id = e.current_consumer_id
        AND c.epoch = e.current_epoch
    WHERE e.current_epoch IS NOT NULL
        AND (c.state IS DISTINCT FROM 'active' OR c.entity_url <> e.entity_url)

    UNION ALL
    SELECT 'I2 active is current', format('%s %s %s', c.tenant_id, c.consumer_id, c.epoch)
    FROM consumer_claims AS c
    WHERE c.state = 'active' AND NOT EXISTS (
        SELECT FROM entity_dispatch_state AS e
        WHERE e.tenant_id = c.tenant_id AND e.entity_url = c.entity_url
            AND e.current_consumer_id = c.consumer_id AND e.current_epoch = c.epoch)

    UNION ALL
    SELECT 'I3', format('%s %s is %s', tenant_id, entity_url, state)
    FROM entity_dispatch_state
    WHERE (state IN ('running', 'stopping') AND current_epoch IS NULL)
        OR (state IN ('idle', 'stopped', 'killed') AND current_epoch IS NOT NULL)

    UNION ALL
    SELECT 'I7 live without lease', format('%s %s %s', c.tenant_id, c.consumer_id, c.epoch)
    FROM live AS c
    LEFT JOIN claim_leases AS l USING (tenant_id, consumer_id, epoch)
    WHERE l.epoch IS NULL

    UNION ALL
    SELECT 'I7 lease without live', format('%s %s %s', l.tenant_id, l.consumer_id, l.epoch)
    FROM claim_leases AS l
    LEFT JOIN live AS c USING (tenant_id, consumer_id, epoch)
    WHERE c.epoch IS NULL

    UNION ALL
    SELECT 'lease says what claim says', format('%s %s %s', c.tenant_id, c.consumer_id, c.epoch)
    FROM live AS c JOIN claim_leases AS l USING (tenant_id, consumer_id, epoch)
    WHERE l.superseded <> (c.state = 'superseded') OR l.token_digest <> c.token_digest
        OR l.ceiling_at IS DISTINCT FROM c.ceiling_at OR l.lease_ttl_ms <> c.lease_ttl_ms

    UNION ALL
    SELECT 'H5 stop', format('%s %s', e.tenant_id, e.entity_url)
    FROM entity_dispatch_state AS e
    JOIN claim_leases AS l
        ON l.tenant_id = e.tenant_id AND l.consumer_id = e.current_consumer_id
        AND l.epoch = e.current_epoch
    WHERE l.stop <> (e.state IN ('paused', 'stopping'))

    UNION ALL
    SELECT 'I6 fence', format('%s %s %s: entity %s, events %s', e.tenant_id, e.entity_url, e.state,
                              e.fence, max(v.fence))
    FROM entity_dispatch_state AS e
    LEFT JOIN claim_events AS v
        ON v.tenant_id = e.tenant_id AND v.entity_url = e.entity_url
        AND v.type IN ('minted', 'reminted')
    GROUP BY e.tenant_id, e.entity_url, e.state, e.fence
    HAVING EXISTS (SELECT FROM whole_history)
        AND (e.fence <> coalesce(max(v.fence), 0) OR count(v.fence) <> e.fence)

    UNION ALL
    SELECT 'I6 fences rise with events', format('%s %s event %s', tenant_id, entity_url, sequence)
    FROM (
        SELECT *, lag(fence) OVER (PARTITION BY tenant_id, entity_url ORDER BY sequence) AS before
        FROM claim_events WHERE type IN ('minted', 'reminted')) AS v
    -- But for the step over what a restore may have taken back.
    WHERE (fence <> before + 1
            AND NOT EXISTS (SELECT FROM number_floor WHERE before < raised_to AND fence > raised_to))
        OR (before IS NULL AND fence <> 1 AND EXISTS (SELECT FROM whole_history))

    UNION ALL
    SELECT 'I6 epochs rise', format('%s %s event %s', tenant_id, entity_url, sequence)
    FROM (
        SELECT v.*, lag(v.epoch) OVER (
            PARTITION BY v.tenant_id, v.entity_url, c.authority ORDER BY v.sequence) AS before
        FROM claim_events AS v JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
        WHERE v.type = 'minted') AS v
    WHERE epoch <= before

    UNION ALL
    SELECT 'I6 mark', format('%s %s %s', c.tenant_id, c.entity_url, c.authority)
    FROM consumer_claims AS c
    LEFT JOIN entity_epochs AS m USING (tenant_id, entity_url, authority)
    GROUP BY c.tenant_id, c.entity_url, c.authority, m.highest
    HAVING m.highest IS NULL OR m.highest < max(c.epoch)
        OR (m.highest > max(c.epoch) AND EXISTS (SELECT FROM whole_history))

    UNION ALL
    SELECT 'I11 one mint', format('%s %s %s: %s', c.tenant_id, c.consumer_id, c.epoch, count(v.sequence))
    FROM consumer_claims AS c
    LEFT JOIN claim_events AS v
        ON v.tenant_id = c.tenant_id AND v.consumer_id = c.consumer_id AND v.epoch = c.epoch
        AND v.type = 'minted'
    GROUP BY c.tenant_id, c.consumer_id, c.epoch
    HAVING count(v.sequence) > 1
        OR (count(v.sequence) = 0 AND EXISTS (SELECT FROM whole_history))

    UNION ALL
    SELECT 'I11, R5 one end', format('%s %s %s is %s: %s', c.tenant_id, c.consumer_id, c.epoch, c.state,
                                     string_agg(v.type, ','))
    FROM consumer_claims AS c
    LEFT JOIN claim_events AS v
        ON v.tenant_id = c.tenant_id AND v.consumer_id = c.consumer_id AND v.epoch = c.epoch
        AND v.type IN ('released', 'failed', 'expired', 'revoked')
    GROUP BY c.tenant_id, c.consumer_id, c.epoch, c.state, c.end_reason
    HAVING CASE WHEN c.state IN ('active', 'superseded') THEN count(v.sequence) <> 0
           ELSE count(v.sequence) > 1 OR min(v.type) <> c.state OR min(v.reason) <> c.end_reason
               OR (count(v.sequence) = 0 AND EXISTS (SELECT FROM whole_history)) END

    UNION ALL
    SELECT 'I11 superseded once', format('%s %s %s', c.tenant_id, c.consumer_id, c.epoch)
    FROM consumer_claims AS c
    LEFT JOIN claim_events AS v
        ON v.tenant_id = c.tenant_id AND v.consumer_id = c.consumer_id AND v.epoch = c.epoch
        AND v.type = 'superseded'
    GROUP BY c.tenant_id, c.consumer_id, c.epoch, c.superseded_by_epoch
    HAVING count(v.sequence) > (c.superseded_by_epoch IS NOT NULL)::int
        OR (count(v.sequence) < (c.superseded_by_epoch IS NOT NULL)::int
            AND EXISTS (SELECT FROM whole_history))

    UNION ALL
    SELECT 'I11 event without claim', format('event %s', v.sequence)
    FROM claim_events AS v
    LEFT JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
    WHERE v.type <> 'signaled' AND c.epoch IS NULL AND EXISTS (SELECT FROM whole_history)
)
SELECT invariant, row FROM broken ORDER BY invariant, row
