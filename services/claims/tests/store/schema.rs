//! The schema: how it comes and goes, and the rules that it holds by itself.

use claims::store::migrations::{migrate, pending, revert_all};
use claims::testing::TestDatabase;
use futures_util::future::join_all;
use std::collections::BTreeSet;

/// Folders of `migrations/`.
const STEPS: usize = 6;

/// Programs that migrate at the same moment.
const AT_ONCE: usize = 8;

/// Everything in a database that a migration made, one line each.
async fn objects(db: &TestDatabase) -> Vec<String> {
    let query = "
        SELECT format('relation %s %s %s', c.relname, c.relkind, c.reloptions)
        FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('column %s.%s %s %s %s %s', c.relname, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation,
            pg_get_expr(d.adbin, d.adrelid))
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'function ' || proname || ' ' || pg_get_functiondef(oid)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'type ' || typname FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0
        UNION ALL
        SELECT 'comment ' || description FROM pg_description
        WHERE objoid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
            UNION SELECT oid FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
        ORDER BY 1";
    let rows = db.sql.query(query, &[]).await.expect("the catalog");
    let not_ours = |line: &String| line.contains("__diesel_schema_migrations");
    rows.iter().map(|row| row.get(0)).filter(|line| !not_ours(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_make_the_schema_once() {
    let db = TestDatabase::empty().await;
    let database = db.database();
    let missing = pending(&database).await.unwrap();
    assert_eq!(missing.len(), STEPS);
    assert!(missing.is_sorted());
    assert!(objects(&db).await.is_empty(), "telling changes nothing");
    assert_eq!(migrate(&database).await.unwrap().len(), STEPS);
    assert!(pending(&database).await.unwrap().is_empty());
    let made = objects(&db).await;
    assert!(migrate(&database).await.unwrap().is_empty());
    assert_eq!(objects(&db).await, made);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_migrate_at_once_do_not_trip_over_each_other() {
    let db = TestDatabase::empty().await;
    let database = db.database();
    let applied = join_all((0..AT_ONCE).map(|_| migrate(&database))).await;
    let applied: Vec<usize> = applied.into_iter().map(|applied| applied.unwrap().len()).collect();
    assert_eq!(applied.iter().sum::<usize>(), STEPS, "{applied:?}");
    assert_eq!(applied.iter().filter(|applied| **applied > 0).count(), 1, "{applied:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_can_be_taken_back_and_made_again() {
    let db = TestDatabase::empty().await;
    let database = db.database();
    migrate(&database).await.unwrap();
    let made = objects(&db).await;
    assert_eq!(revert_all(&database).await.unwrap(), STEPS);
    assert_eq!(objects(&db).await, [""; 0], "nothing is left behind");
    migrate(&database).await.unwrap();
    assert_eq!(objects(&db).await, made);
    db.check_invariants().await;
}

/// Good rows of every kind, for the statements below to spoil.
const GOOD_ROWS: &str = "
    INSERT INTO entity_dispatch_state (
        tenant_id, entity_url, state, fence, current_consumer_id, current_epoch, last_claimed_at)
    VALUES ('t', '/idle', 'idle', 0, NULL, NULL, NULL),
           ('t', '/run', 'running', 2, 'active', 1, now());
    INSERT INTO entity_epochs VALUES ('t', '/run', 'sub', 1);
    INSERT INTO consumer_claims (
        tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
        request_id, claimed_at, lease_ttl_ms, fence, token_digest, state,
        superseded_by_consumer_id, superseded_by_epoch, ended_at, end_reason, entity_cleared,
        lease_expires_at, acked_streams, error_message)
    SELECT 't', state, 1, '/run', '/run/main', '', '', '', '', now(), 30000, 1, sha256('x'), state,
        CASE state WHEN 'superseded' THEN 'active' END, CASE state WHEN 'superseded' THEN 1 END,
        ended, reason, cleared, ended, acks::jsonb, message
    FROM (VALUES
        ('active', NULL::timestamptz, NULL, NULL::boolean, NULL, NULL),
        ('superseded', NULL, NULL, NULL, NULL, NULL),
        ('released', now(), 'done', true, '[]', ''),
        ('failed', now(), 'failed', true, '[]', 'broken'),
        ('expired', now(), 'lease_lapsed', true, NULL, ''),
        ('revoked', now(), 'killed', false, NULL, '')
    ) AS rows (state, ended, reason, cleared, acks, message);
    INSERT INTO claim_leases (
        tenant_id, consumer_id, epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
        token_digest)
    VALUES ('t', 'active', 1, now(), now(), 30000, false, false, sha256('x'));
    INSERT INTO claim_events (
        tenant_id, entity_url, stream_path, consumer_id, epoch, fence, type, reason, actor,
        occurred_at)
    VALUES ('t', '/run', '/run/main', 'active', 1, 1, 'minted', '', 'holder', now()),
           ('t', '/run', '', '', 0, 1, 'signaled', 'stop', 'operator', now());
    INSERT INTO service_liveness VALUES (true, now(), now(), 30000);
    INSERT INTO reaper_passes (
        started_at, ended_at, scanned, expired, failed, held_back, remaining_due, pruned)
    VALUES (now(), now(), 0, 0, 0, 0, 0, 0)";

/// Each constraint, and what it must refuse.
const BAD_ROWS: &[(&str, &str)] = &[
    ("entity_tenant_id_length", "UPDATE entity_dispatch_state SET tenant_id = ''"),
    ("entity_tenant_id_length", "UPDATE entity_dispatch_state SET tenant_id = repeat('x', 257)"),
    ("entity_url_form", "UPDATE entity_dispatch_state SET entity_url = '/'"),
    ("entity_url_form", "UPDATE entity_dispatch_state SET entity_url = 'chat'"),
    ("entity_url_form", "UPDATE entity_dispatch_state SET entity_url = '/chat/'"),
    ("entity_url_form", "UPDATE entity_dispatch_state SET entity_url = '/chat//a'"),
    ("entity_url_form", "UPDATE entity_dispatch_state SET entity_url = '/' || repeat('x', 1024)"),
    ("entity_state_known", "UPDATE entity_dispatch_state SET state = 'asleep'"),
    (
        "entity_fence_not_negative",
        "UPDATE entity_dispatch_state SET fence = -1 WHERE entity_url = '/idle'",
    ),
    (
        "entity_current_both_or_neither",
        "UPDATE entity_dispatch_state SET current_consumer_id = NULL WHERE entity_url = '/run'",
    ),
    (
        "entity_current_both_or_neither",
        "UPDATE entity_dispatch_state SET current_consumer_id = 'w' WHERE entity_url = '/idle'",
    ),
    (
        "entity_current_matches_state",
        "UPDATE entity_dispatch_state SET state = 'running' WHERE entity_url = '/idle'",
    ),
    (
        "entity_current_matches_state",
        "UPDATE entity_dispatch_state SET state = 'stopping' WHERE entity_url = '/idle'",
    ),
    (
        "entity_current_matches_state",
        "UPDATE entity_dispatch_state SET state = 'idle' WHERE entity_url = '/run'",
    ),
    (
        "entity_current_matches_state",
        "UPDATE entity_dispatch_state SET state = 'stopped' WHERE entity_url = '/run'",
    ),
    (
        "entity_current_matches_state",
        "UPDATE entity_dispatch_state SET state = 'killed' WHERE entity_url = '/run'",
    ),
    (
        "entity_current_was_claimed",
        "UPDATE entity_dispatch_state SET fence = 0 WHERE entity_url = '/run'",
    ),
    (
        "entity_current_was_claimed",
        "UPDATE entity_dispatch_state SET current_epoch = 0 WHERE entity_url = '/run'",
    ),
    (
        "entity_current_was_claimed",
        "UPDATE entity_dispatch_state SET last_claimed_at = NULL WHERE entity_url = '/run'",
    ),
    ("entity_last_error_length", "UPDATE entity_dispatch_state SET last_error = repeat('x', 1025)"),
    ("entity_epochs_authority_length", "UPDATE entity_epochs SET authority = repeat('x', 257)"),
    ("entity_epochs_highest_min", "UPDATE entity_epochs SET highest = 0"),
    ("claim_consumer_id_length", "UPDATE consumer_claims SET consumer_id = ''"),
    ("claim_consumer_id_length", "UPDATE consumer_claims SET consumer_id = repeat('x', 257)"),
    ("claim_epoch_min", "UPDATE consumer_claims SET epoch = 0"),
    ("claim_stream_of_entity", "UPDATE consumer_claims SET stream_path = '/run'"),
    ("claim_stream_of_entity", "UPDATE consumer_claims SET stream_path = '/run/'"),
    ("claim_stream_of_entity", "UPDATE consumer_claims SET stream_path = '/running/main'"),
    ("claim_stream_of_entity", "UPDATE consumer_claims SET stream_path = '/run/a/b'"),
    ("claim_names_length", "UPDATE consumer_claims SET authority = repeat('x', 257)"),
    ("claim_names_length", "UPDATE consumer_claims SET wake_id = repeat('x', 257)"),
    ("claim_names_length", "UPDATE consumer_claims SET runner_id = repeat('x', 257)"),
    ("claim_names_length", "UPDATE consumer_claims SET request_id = repeat('x', 257)"),
    ("claim_ceiling_bounds", "UPDATE consumer_claims SET ceiling_at = claimed_at"),
    (
        "claim_ceiling_bounds",
        "UPDATE consumer_claims SET ceiling_at = claimed_at + interval '25 h'",
    ),
    ("claim_lease_ttl_bounds", "UPDATE consumer_claims SET lease_ttl_ms = 999"),
    ("claim_lease_ttl_bounds", "UPDATE consumer_claims SET lease_ttl_ms = 600001"),
    ("claim_fence_min", "UPDATE consumer_claims SET fence = 0"),
    ("claim_token_digest_length", "UPDATE consumer_claims SET token_digest = 'a token'"),
    ("claim_state_known", "UPDATE consumer_claims SET state = 'lost' WHERE state = 'revoked'"),
    (
        "claim_superseded_by_both_or_neither",
        "UPDATE consumer_claims SET superseded_by_consumer_id = 'w' WHERE state = 'revoked'",
    ),
    (
        "claim_superseded_by_matches_state",
        "UPDATE consumer_claims SET superseded_by_consumer_id = 'w', superseded_by_epoch = 2
         WHERE state = 'active'",
    ),
    (
        "claim_superseded_by_matches_state",
        "UPDATE consumer_claims SET superseded_by_consumer_id = NULL, superseded_by_epoch = NULL
         WHERE state = 'superseded'",
    ),
    (
        "claim_ended_iff_terminal",
        "UPDATE consumer_claims SET state = 'superseded', superseded_by_consumer_id = 'w',
             superseded_by_epoch = 2 WHERE state = 'revoked'",
    ),
    (
        "claim_ended_iff_terminal",
        "UPDATE consumer_claims SET state = 'revoked' WHERE state = 'active'",
    ),
    (
        "claim_ending_is_whole",
        "UPDATE consumer_claims SET end_reason = NULL WHERE state = 'revoked'",
    ),
    (
        "claim_ending_is_whole",
        "UPDATE consumer_claims SET entity_cleared = NULL WHERE state = 'revoked'",
    ),
    (
        "claim_ending_is_whole",
        "UPDATE consumer_claims SET lease_expires_at = NULL WHERE state = 'revoked'",
    ),
    (
        "claim_ending_is_whole",
        "UPDATE consumer_claims SET error_message = NULL WHERE state = 'revoked'",
    ),
    (
        "claim_ending_is_whole",
        "UPDATE consumer_claims SET lease_expires_at = now() WHERE state = 'active'",
    ),
    (
        "claim_acks_iff_done",
        "UPDATE consumer_claims SET acked_streams = NULL WHERE state = 'released'",
    ),
    (
        "claim_acks_iff_done",
        "UPDATE consumer_claims SET acked_streams = '[]' WHERE state = 'expired'",
    ),
    (
        "claim_end_reason_matches_state",
        "UPDATE consumer_claims SET end_reason = 'failed' WHERE state = 'released'",
    ),
    (
        "claim_end_reason_matches_state",
        "UPDATE consumer_claims SET end_reason = 'done' WHERE state = 'failed'",
    ),
    (
        "claim_end_reason_matches_state",
        "UPDATE consumer_claims SET end_reason = 'killed' WHERE state = 'expired'",
    ),
    (
        "claim_cleared_was_current",
        "UPDATE consumer_claims SET superseded_by_consumer_id = 'w', superseded_by_epoch = 2
         WHERE state = 'released'",
    ),
    (
        "claim_texts_length",
        "UPDATE consumer_claims SET error_message = repeat('x', 1025) WHERE state = 'failed'",
    ),
    (
        "claim_texts_length",
        "UPDATE consumer_claims SET progress = repeat('x', 257) WHERE state = 'failed'",
    ),
    (
        "claim_texts_length",
        "UPDATE consumer_claims SET end_reason = repeat('x', 257) WHERE state = 'revoked'",
    ),
    (
        "consumer_claims_one_active",
        "INSERT INTO consumer_claims (
             tenant_id, consumer_id, epoch, entity_url, stream_path, authority, wake_id, runner_id,
             request_id, claimed_at, lease_ttl_ms, fence, token_digest, state)
         SELECT tenant_id, 'another', epoch, entity_url, stream_path, authority, wake_id, runner_id,
             request_id, claimed_at, lease_ttl_ms, fence, token_digest, state
         FROM consumer_claims WHERE state = 'active'",
    ),
    ("lease_epoch_min", "UPDATE claim_leases SET epoch = 0"),
    ("lease_expiry_is_finite", "UPDATE claim_leases SET lease_expires_at = 'infinity'"),
    ("lease_expiry_is_finite", "UPDATE claim_leases SET lease_expires_at = '-infinity'"),
    (
        "lease_ends_by_ceiling",
        "UPDATE claim_leases SET ceiling_at = lease_expires_at - interval '1 microsecond'",
    ),
    ("lease_ttl_bounds", "UPDATE claim_leases SET lease_ttl_ms = 999"),
    ("lease_ttl_bounds", "UPDATE claim_leases SET lease_ttl_ms = 600001"),
    ("lease_token_digest_length", "UPDATE claim_leases SET token_digest = 'a token'"),
    ("lease_progress_length", "UPDATE claim_leases SET progress = repeat('x', 257)"),
    ("event_type_known", "UPDATE claim_events SET type = 'renewed' WHERE type = 'minted'"),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET consumer_id = '' WHERE type = 'minted'",
    ),
    ("event_names_a_claim_or_a_signal", "UPDATE claim_events SET epoch = 0 WHERE type = 'minted'"),
    ("event_names_a_claim_or_a_signal", "UPDATE claim_events SET fence = 0 WHERE type = 'minted'"),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET stream_path = '' WHERE type = 'minted'",
    ),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET consumer_id = 'w' WHERE type = 'signaled'",
    ),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET epoch = 1 WHERE type = 'signaled'",
    ),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET fence = -1 WHERE type = 'signaled'",
    ),
    (
        "event_names_a_claim_or_a_signal",
        "UPDATE claim_events SET reason = 'hup' WHERE type = 'signaled'",
    ),
    ("event_actor_given", "UPDATE claim_events SET actor = ''"),
    ("claim_events_pruned_one_row", "INSERT INTO claim_events_pruned VALUES (false, 0)"),
    ("claim_events_pruned_pkey", "INSERT INTO claim_events_pruned VALUES (true, 0)"),
    ("service_liveness_one_row", "INSERT INTO service_liveness VALUES (false, now(), now(), 0)"),
    ("service_liveness_pkey", "INSERT INTO service_liveness VALUES (true, now(), now(), 0)"),
    ("service_liveness_grace_bounds", "UPDATE service_liveness SET outage_grace_ms = -1"),
    ("service_liveness_grace_bounds", "UPDATE service_liveness SET outage_grace_ms = 86400001"),
    ("reaper_pass_hold_reason_known", "UPDATE reaper_passes SET hold_reason = 'tired'"),
    ("reaper_pass_counts_not_negative", "UPDATE reaper_passes SET failed = -1"),
    ("reaper_pass_fresh_are_expired", "UPDATE reaper_passes SET expired_fresh = expired + 1"),
    ("reaper_pass_fresh_are_expired", "UPDATE reaper_passes SET expired_fresh = -1"),
    ("number_floor_one_row", "INSERT INTO number_floor VALUES (false, 0, NULL)"),
    ("number_floor_pkey", "INSERT INTO number_floor VALUES (true, 0, NULL)"),
    ("number_floor_not_negative", "UPDATE number_floor SET raised_to = -1, raised_at = now()"),
    ("number_floor_raised_at_a_time", "UPDATE number_floor SET raised_to = 1"),
    ("number_floor_raised_at_a_time", "UPDATE number_floor SET raised_at = now()"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_check_refuses_what_it_is_there_to_refuse() {
    let db = TestDatabase::new().await;
    // The guards of a test database would be first to refuse.
    db.sql.batch_execute("SET session_replication_role = replica").await.unwrap();
    db.sql.batch_execute(GOOD_ROWS).await.unwrap();
    for (constraint, statement) in BAD_ROWS {
        let error = db.sql.batch_execute(statement).await.expect_err(statement);
        let refused_by = error.as_db_error().and_then(|error| error.constraint());
        assert_eq!(refused_by, Some(*constraint), "{statement}: {error:?}");
    }
    let named = "SELECT conname::text FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype = 'c'";
    let named: BTreeSet<String> =
        db.sql.query(named, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let tried: BTreeSet<String> = BAD_ROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let untried: Vec<&String> = named.difference(&tried).collect();
    assert!(untried.is_empty(), "never refused anything: {untried:?}");
}

/// Checks that only limit a length, or keep a table at one row: their names say all.
fn is_plain_limit(constraint: &str) -> bool {
    constraint.ends_with("_length") || constraint.ends_with("_one_row")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_every_constraint_that_holds_a_rule_says_which() {
    let db = TestDatabase::new().await;
    let silent = "
        SELECT 'table ' || relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND relname <> '__diesel_schema_migrations' AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL
        SELECT conname::text FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype = 'c'
            AND obj_description(oid, 'pg_constraint') IS NULL
        UNION ALL
        SELECT 'index ' || c.relname
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND NOT i.indisprimary
            AND obj_description(c.oid, 'pg_class') IS NULL";
    let silent: Vec<String> =
        db.sql.query(silent, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let silent: Vec<&String> = silent.iter().filter(|name| !is_plain_limit(name)).collect();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}
