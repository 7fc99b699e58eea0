-- Every holder was heard of within the last four minutes, but its lease runs for an hour and more, so
-- that nothing falls due by itself however long a measurement takes.
UPDATE claim_leases
SET lease_expires_at = now() + interval '1 hour' + abs(hashtext(consumer_id) % 240) * interval '1 second',
    heard_at = now() - abs(hashtext(consumer_id) % 240) * interval '1 second',
    last_heartbeat_at = now() - abs(hashtext(consumer_id) % 240) * interval '1 second'
