-- The identities of $1 live claims, by chance: those that ageing by the same seed ($2) takes last.
SELECT tenant_id, consumer_id, epoch
FROM claim_leases
ORDER BY hashtextextended(consumer_id, $2::bigint) DESC
LIMIT $1::bigint
