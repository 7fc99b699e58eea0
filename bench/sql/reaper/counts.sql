-- What has to agree: live claims with leases and with running entities; each claim with its mint,
-- each finished one with its end.
SELECT c.live, c.finished, l.leases, e.running, v.events
FROM (SELECT count(*) FILTER (WHERE state = 'active') AS live,
             count(*) FILTER (WHERE ended_at IS NOT NULL) AS finished
      FROM consumer_claims) AS c,
     (SELECT count(*) AS leases FROM claim_leases) AS l,
     (SELECT count(*) AS running FROM entity_dispatch_state WHERE state = 'running') AS e,
     (SELECT count(*) AS events FROM claim_events) AS v
