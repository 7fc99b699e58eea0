-- Claims that are active, were released, ended otherwise; leases, and how many of them run; entities that
-- run, and the fences of all; events of mints and of releases.
SELECT c.active, c.released, c.otherwise, l.leases, l.running, d.running, d.fences, e.minted, e.released
FROM (SELECT count(*) FILTER (WHERE state = 'active') AS active,
             count(*) FILTER (WHERE state = 'released') AS released,
             count(*) FILTER (WHERE state NOT IN ('active', 'released')) AS otherwise
      FROM consumer_claims) AS c,
     (SELECT count(*) AS leases, count(*) FILTER (WHERE lease_expires_at > now()) AS running
      FROM claim_leases) AS l,
     (SELECT count(*) FILTER (WHERE state = 'running') AS running, sum(fence)::bigint AS fences
      FROM entity_dispatch_state) AS d,
     (SELECT count(*) FILTER (WHERE type = 'minted') AS minted,
             count(*) FILTER (WHERE type = 'released') AS released
      FROM claim_events) AS e
