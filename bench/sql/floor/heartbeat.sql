-- One heartbeat as plain SQL: a guarded renewal of one of the claims that the benchmark holds.
\set holder random(0, :holders - 1)
UPDATE claim_leases
    SET lease_expires_at = greatest(lease_expires_at, clock_timestamp() + lease_ttl_ms * interval '1 millisecond'),
        last_heartbeat_at = clock_timestamp(), heard_at = clock_timestamp()
    WHERE tenant_id = 'bench' AND consumer_id = 'holder' || :holder AND epoch = 1
        AND NOT superseded AND (ceiling_at IS NULL OR ceiling_at > clock_timestamp());
