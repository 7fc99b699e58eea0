-- What went wrong in a scene, one row each: what, and where. Read by psql after the tables below were
-- filled by `judge` (scene.sh): `answered` from the logs of all loads, `windows`, `silences`, `resumes` and
-- `waits` from what the scene noted. The settings: :grace_ms (outage grace), :reap_grace_ms, :bound_ms (lateness),
-- :is_pruned, :clock_was_set.
WITH heard AS (
    -- Every claim with the last time it was heard of; a re-mint counts (R6).
    SELECT c.tenant_id, c.consumer_id, c.epoch, c.entity_url, c.state, c.claimed_at, c.ended_at,
        c.last_heartbeat_at, c.lease_ttl_ms,
        coalesce(c.lease_expires_at, l.lease_expires_at) AS lease_end,
        greatest(c.claimed_at, c.last_heartbeat_at, l.heard_at, max(v.occurred_at)) AS heard_at
    FROM consumer_claims AS c
    LEFT JOIN claim_leases AS l USING (tenant_id, consumer_id, epoch)
    LEFT JOIN claim_events AS v
        ON v.tenant_id = c.tenant_id AND v.consumer_id = c.consumer_id AND v.epoch = c.epoch
        AND v.type = 'reminted'
    GROUP BY c.tenant_id, c.consumer_id, c.epoch, l.lease_expires_at, l.heard_at
), lapsing AS (
    -- Those that nobody reported done, with the moment from which they could be taken over.
    SELECT h.*, coalesce(h.ended_at, clock_timestamp()) AS seen_at, v.actor,
        greatest(h.lease_end, (
            SELECT max(r.at) + :grace_ms * interval '1 millisecond' FROM resumes AS r
            WHERE h.heard_at < r.at AND r.at <= coalesce(h.ended_at, clock_timestamp()))) AS takeable_at
    FROM heard AS h
    LEFT JOIN claim_events AS v
        ON v.tenant_id = h.tenant_id AND v.consumer_id = h.consumer_id AND v.epoch = h.epoch
        AND v.type = 'expired'
    WHERE h.state IN ('active', 'superseded', 'expired')
), late AS (
    -- How long after they were due, not counting faults and the time to recover from them.
    SELECT p.*, p.seen_at - greatest(
        p.takeable_at + :reap_grace_ms * interval '1 millisecond',
        (SELECT max(w.ends) FROM windows AS w
         WHERE w.begins <= p.seen_at
            AND w.ends >= p.takeable_at + :reap_grace_ms * interval '1 millisecond')) AS late
    FROM lapsing AS p
), moments AS (
    -- `barred`: from here on no write with a lower fence; `reached`: no grant up to this fence.
    SELECT kind, entity, fence, consumer, asked AS at, 0 AS step, NULL::bigint AS barred, NULL::bigint AS reached
    FROM answered
    UNION ALL
    SELECT kind, entity, fence, consumer, answered, 1,
        fence + (kind IN ('done', 'lost'))::int, fence
    FROM answered
), ordered AS (
    SELECT *, max(barred) OVER earlier AS barred_before, max(reached) OVER earlier AS reached_before
    FROM moments
    WINDOW earlier AS (PARTITION BY entity ORDER BY at, step ROWS UNBOUNDED PRECEDING)
), wrong (what, "where") AS (
    SELECT 'an older holder wrote', format('%s: fence %s of %s, when %s was barred', entity, fence, consumer, barred_before)
    FROM ordered WHERE step = 0 AND kind = 'write' AND fence < barred_before

    UNION ALL
    SELECT 'a fence did not rise', format('%s: %s of %s after %s', entity, fence, consumer, reached_before)
    FROM ordered WHERE step = 0 AND kind = 'grant' AND fence <= reached_before

    UNION ALL
    -- Not only is somebody answered again: everybody is, but for those whom the next fault has overtaken.
    SELECT 'answered late', format('%s of %s by %s: %s ms, %s ms of them after the fault', a.kind, a.entity, a.consumer,
        a.took_ms, least(a.took_ms, a.at_ms - w.since))
    FROM (SELECT *, (answered - asked) / 1000 AS took_ms FROM answered) AS a, waits AS w
    WHERE a.kind <> 'write' AND a.at_ms >= w.since AND a.at_ms - a.took_ms < w.since + w.within
        AND least(a.took_ms, a.at_ms - w.since) > w.within
        AND NOT EXISTS (
            SELECT FROM windows AS next
            WHERE next.begins > to_timestamp(w.since / 1000.0)
                AND next.begins < to_timestamp((greatest(a.at_ms - a.took_ms, w.since) + w.within) / 1000.0))

    UNION ALL
    SELECT 'an acknowledged grant is lost', format('%s epoch %s on %s', a.consumer, a.epoch, a.entity)
    FROM answered AS a
    LEFT JOIN consumer_claims AS c
        ON c.tenant_id = 'default' AND c.consumer_id = a.consumer AND c.epoch = a.epoch
    WHERE a.kind = 'grant' AND NOT :is_pruned AND c.epoch IS NULL

    UNION ALL
    SELECT 'a grant has another fence', format('%s epoch %s on %s: %s and not %s', a.consumer, a.epoch, a.entity, c.fence, a.fence)
    FROM answered AS a
    JOIN consumer_claims AS c
        ON c.tenant_id = 'default' AND c.consumer_id = a.consumer AND c.epoch = a.epoch
    WHERE a.kind = 'grant' AND (c.fence <> a.fence OR c.entity_url <> a.entity)

    UNION ALL
    SELECT 'an acknowledged done is lost', format('%s epoch %s on %s is %s', a.consumer, a.epoch, a.entity, c.state)
    FROM answered AS a
    JOIN consumer_claims AS c
        ON c.tenant_id = 'default' AND c.consumer_id = a.consumer AND c.epoch = a.epoch
    WHERE a.kind = 'done' AND c.state <> 'released'

    UNION ALL
    SELECT 'expired early', format('%s epoch %s on %s by %s, %s before it could be taken over',
        consumer_id, epoch, entity_url, actor, takeable_at - ended_at)
    FROM lapsing WHERE state = 'expired' AND ended_at < takeable_at

    UNION ALL
    -- A signature counts for 5 s.
    SELECT 'expired in an outage', format('%s epoch %s on %s by %s, %s after the last signature of a server',
        p.consumer_id, p.epoch, p.entity_url, p.actor, p.ended_at - s.begins)
    FROM lapsing AS p JOIN silences AS s
        ON p.ended_at > s.begins + interval '5 seconds' AND p.ended_at < s.ends
    WHERE p.state = 'expired'

    UNION ALL
    SELECT 'reaped early', format('%s epoch %s on %s, %s after it could be taken over',
        consumer_id, epoch, entity_url, ended_at - takeable_at)
    FROM lapsing
    WHERE state = 'expired' AND actor = 'reaper' AND ended_at >= takeable_at
        AND ended_at < takeable_at + :reap_grace_ms * interval '1 millisecond'

    UNION ALL
    SELECT 'ended late', format('%s epoch %s on %s: %s', consumer_id, epoch, entity_url, late)
    FROM late WHERE state = 'expired' AND late > :bound_ms * interval '1 millisecond'

    UNION ALL
    SELECT 'never ended', format('%s epoch %s on %s: its lease runs to %s, it is %s', consumer_id, epoch, entity_url, lease_end, clock_timestamp())
    FROM lapsing WHERE state <> 'expired'

    UNION ALL
    SELECT 'a lease is longer than it may be', format('%s epoch %s on %s: to %s, at %s', consumer_id, epoch, entity_url, lease_end, coalesce(ended_at, clock_timestamp()))
    FROM heard
    WHERE lease_end > coalesce(ended_at, clock_timestamp()) + lease_ttl_ms * interval '1 millisecond'
        -- The database's clock was set back while the claim ran: the first heartbeat after that cuts it (H2).
        AND NOT (:clock_was_set AND ended_at < claimed_at AND (
            last_heartbeat_at IS NULL OR last_heartbeat_at >= claimed_at
            OR lease_end <= ended_at + interval '10 minutes'))

    UNION ALL
    SELECT 'ended before it began', format('%s epoch %s on %s', consumer_id, epoch, entity_url)
    FROM heard WHERE ended_at < claimed_at AND NOT :clock_was_set

    UNION ALL
    SELECT 'an abandoned claim was ended by its holder', format('%s epoch %s on %s is %s', consumer_id, epoch, entity_url, state)
    FROM heard WHERE starts_with(consumer_id, 'abandons-') AND state NOT IN ('active', 'expired')
), figures AS (
    SELECT format('%s expired by the reaper, %s by a mint, at most %s ms late; %s writes judged',
        count(*) FILTER (WHERE actor = 'reaper'), count(*) FILTER (WHERE actor = 'mint'),
        coalesce(greatest(0, ceil(extract(epoch FROM max(late) FILTER (WHERE actor = 'reaper')) * 1000)), 0),
        (SELECT count(*) FROM answered WHERE kind = 'write')) AS line
    FROM late
)
SELECT 'figures', line FROM figures
UNION ALL
(SELECT what, "where" FROM wrong ORDER BY what, "where" LIMIT 20)
