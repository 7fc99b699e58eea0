-- How many blocks the tables have that the self-check walks in the order of their storage.
SELECT (pg_relation_size('entity_dispatch_state') / current_setting('block_size')::bigint)::bigint,
       (pg_relation_size('claim_leases') / current_setting('block_size')::bigint)::bigint
