-- A server's signature (R6): the one that finds the last more than 5 s old or more than 5 s ahead,
-- or none, also sets resumed to now. Returns the outage grace that stood there before, if any, and
-- whether the service resumed with this signature.
-- A signature says that heartbeats are served, so it takes the table of leases as they do: while
-- somebody has that table for himself, no server signs, whether or not it has a heartbeat to serve.
WITH before AS (
    SELECT outage_grace_ms FROM service_liveness
), hearing AS (
    UPDATE claim_leases SET heard_at = heard_at WHERE false
), signature AS MATERIALIZED (
    SELECT clock_timestamp() AS signed_at
)
INSERT INTO service_liveness AS s (last_signed_at, resumed_at, outage_grace_ms)
SELECT signed_at, signed_at, $1::bigint FROM signature
ON CONFLICT (only_row) DO UPDATE
SET last_signed_at = CASE
        WHEN s.last_signed_at > excluded.last_signed_at + interval '5 seconds'
        THEN excluded.last_signed_at
        ELSE greatest(s.last_signed_at, excluded.last_signed_at) END,
    resumed_at = CASE
        WHEN excluded.last_signed_at BETWEEN s.last_signed_at - interval '5 seconds'
                                         AND s.last_signed_at + interval '5 seconds'
        THEN s.resumed_at
        ELSE excluded.resumed_at END,
    outage_grace_ms = excluded.outage_grace_ms
RETURNING (SELECT before.outage_grace_ms FROM before), resumed_at = last_signed_at
