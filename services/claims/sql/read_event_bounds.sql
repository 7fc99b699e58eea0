-- The highest sequence that was ever drawn, and the highest that was pruned (E2, E3). A sequence is
-- not transactional: the first number counts the draws of transactions that nobody can see yet. A
-- standby says that it is one, and is not believed.
SELECT CASE WHEN s.is_called THEN s.last_value ELSE s.last_value - 1 END, p.highest_sequence,
       pg_is_in_recovery()
FROM claim_event_sequence AS s
CROSS JOIN claim_events_pruned AS p
