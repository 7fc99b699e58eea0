-- Self-check, first step: whether what entities, claims and leases say of each other agrees (I2, I3,
-- I7), by fingerprints of whole tables in one snapshot. A fingerprint is the exclusive or of a
-- 64-bit hash of each row; keys are unique, so no two rows of a table cancel each other.
SELECT e.ill = 0
    AND e.total = a.total AND e.holds IS NOT DISTINCT FROM a.holds
    AND l.total = a.total + s.total
    AND coalesce(l.leases, 0) = coalesce(a.leases, 0) # coalesce(s.leases, 0)
FROM (
    SELECT count(*) FILTER (WHERE current_epoch IS NOT NULL) AS total,
           bit_xor(hash_record_extended(
               ROW(tenant_id, entity_url, current_consumer_id, current_epoch), 0))
               FILTER (WHERE current_epoch IS NOT NULL) AS holds,
           count(*) FILTER (WHERE
               (state IN ('running', 'stopping') AND current_epoch IS NULL)
               OR (state IN ('idle', 'stopped', 'killed') AND current_epoch IS NOT NULL)) AS ill
    FROM entity_dispatch_state) AS e,
    (
    SELECT count(*) AS total,
           bit_xor(hash_record_extended(ROW(tenant_id, entity_url, consumer_id, epoch), 0)) AS holds,
           bit_xor(hash_record_extended(ROW(tenant_id, consumer_id, epoch, false), 0)) AS leases
    FROM consumer_claims WHERE state = 'active') AS a,
    (
    SELECT count(*) AS total,
           bit_xor(hash_record_extended(ROW(tenant_id, consumer_id, epoch, true), 0)) AS leases
    FROM consumer_claims WHERE state = 'superseded') AS s,
    (
    SELECT count(*) AS total,
           bit_xor(hash_record_extended(ROW(tenant_id, consumer_id, epoch, superseded), 0)) AS leases
    FROM claim_leases) AS l
