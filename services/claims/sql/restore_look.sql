-- What a database is like that was perhaps set back: sizes of what fence-bump changes; whether a
-- server is at it, by its sessions and by a signature that is not stale (R6); and whether the clock is
-- behind what the database has recorded, so that no number may be taken from it. Marks are counted
-- that others than this service have numbered, if that is asked for.
SELECT
    (SELECT count(*) FROM entity_dispatch_state),
    (SELECT count(*) FROM entity_epochs WHERE authority = '' OR $1::boolean),
    (SELECT count(*) FROM claim_leases),
    (
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'claim-server/%')
    + (
        SELECT count(*) FROM service_liveness
        WHERE last_signed_at BETWEEN clock_timestamp() - interval '5 seconds'
                                 AND clock_timestamp() + interval '5 seconds'),
    EXISTS (
        SELECT FROM service_liveness
        WHERE last_signed_at > clock_timestamp() + interval '5 seconds')
    OR EXISTS (
        SELECT FROM number_floor WHERE raised_at > clock_timestamp() + interval '5 seconds')
