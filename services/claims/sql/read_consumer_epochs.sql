-- The highest epoch among the kept claims of each consumer, for an epoch to be issued (M3).
SELECT asked.tenant_id, asked.consumer_id, highest.epoch
FROM unnest($1::text[], $2::text[]) AS asked (tenant_id, consumer_id)
CROSS JOIN LATERAL (
    SELECT c.epoch FROM consumer_claims AS c
    WHERE c.tenant_id = asked.tenant_id
        AND c.consumer_id = asked.consumer_id
    ORDER BY c.epoch DESC
    LIMIT 1) AS highest
