# shellcheck shell=bash
# Sourced by test-faults: two hours' work in minutes, by ageing.
#
# In each step everything in the database becomes a minute older, in one transaction: as if a minute had passed in
# which the servers signed, and nobody else did anything. So the signature alone stays as it is: had it aged too, each
# step would be an outage, after which nobody is expired. Programs' clocks are left alone; nothing that they decide
# depends on them. Faking the clocks of all programs at a multiple would also shorten each timeout, and what is
# then measured is the machine.
#
# Holders have leases of ten minutes, so that a minute now and then costs them nothing. What is abandoned lapses in
# the next step, and retention is ten minutes, so that every row is written, ended and removed many times over.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

ageing_steps=${ageing_steps:-120}
ageing_step_ms=60000
ageing_retention_ms=600000

fault two_hours_pass "two hours' work in minutes: ${ageing_steps} times the database becomes a minute older"

scene_two_hours_pass() {
    scene_database
    export CLAIM_RETENTION=${ageing_retention_ms}ms
    scene_services
    load load --lease 10m --clocks-differ --leases-may-lapse --may-be-pruned
    under_load load
    is_pruned=true
    # What lapses within a step is due at its end.
    reaper_interval_ms=$((reaper_interval_ms + ageing_step_ms))
}

fault_two_hours_pass() {
    local step rows most_rows=0 before
    declare -A memory
    for ((step = 1; step <= ageing_steps; step++)); do
        sql a "$(age_sql)"
        # A step is no pause: work goes on between two of them, and a pass of the reaper sees each.
        before=$(count_grants load)
        eventually "work goes on" has_grants load $((before + 10))
        eventually "a pass is made" passed_since_ageing
        rows=$(sql a "SELECT (SELECT count(*) FROM consumer_claims) + (SELECT count(*) FROM claim_events)")
        # After the first third everything is as it will remain.
        if ((step == ageing_steps / 3)); then
            most_rows=$rows
            for name in one two reaper; do memory[$name]=$(resident_kb "$name"); done
        fi
        ((step <= ageing_steps / 3 || rows <= most_rows * 3)) ||
            failed "$rows rows after $step steps, $most_rows after a third"
        is_rid_of_old_rows
    done
    for name in one two reaper; do
        say "$name: $(resident_kb "$name") kB, ${memory[$name]} kB after a third"
        # Nothing is kept of what has ended; what remains is what the allocator takes its time to give back.
        (($(resident_kb "$name") <= memory[$name] + 8192)) ||
            failed "$name has grown from ${memory[$name]} to $(resident_kb "$name") kB"
    done
    # Two servers with 15 connections each at most, and a reaper with one (docs/operations.md, Sizing).
    (($(sql a "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'claim-%'") <= 31)) ||
        failed "more connections than two servers and a reaper may have"
    recoveries+=("nothing; $rows rows at the end, $most_rows after a third")
}

age_sql() {
    local by="interval '$ageing_step_ms milliseconds'"
    cat <<SQL
BEGIN;
-- As the service takes its locks: entities first. What is being decided is waited for, and nothing begins meanwhile.
LOCK TABLE entity_dispatch_state, consumer_claims, claim_leases, claim_events, service_liveness IN EXCLUSIVE MODE;
UPDATE entity_dispatch_state SET last_claimed_at = last_claimed_at - $by, last_ended_at = last_ended_at - $by,
    last_completed_at = last_completed_at - $by;
UPDATE consumer_claims SET claimed_at = claimed_at - $by, ceiling_at = ceiling_at - $by, ended_at = ended_at - $by,
    lease_expires_at = lease_expires_at - $by, last_heartbeat_at = last_heartbeat_at - $by;
UPDATE claim_leases SET lease_expires_at = lease_expires_at - $by, heard_at = heard_at - $by,
    last_heartbeat_at = last_heartbeat_at - $by, ceiling_at = ceiling_at - $by;
UPDATE claim_events SET occurred_at = occurred_at - $by;
UPDATE service_liveness SET resumed_at = resumed_at - $by;
UPDATE reaper_passes SET started_at = started_at - $by, ended_at = ended_at - $by,
    oldest_remaining_due_at = oldest_remaining_due_at - $by;
COMMIT
SQL
}

# A pass that began after the last step.
passed_since_ageing() {
    [[ $(sql a "SELECT max(started_at) > clock_timestamp() - interval '$ageing_step_ms milliseconds'
        FROM reaper_passes") == t ]]
}

# Nothing is older than the retention, but for what became so in the last two steps; and nothing lives that had
# lapsed before the last step, of which a pass has been made since.
is_rid_of_old_rows() {
    local old limit
    limit="clock_timestamp() - interval '$((ageing_retention_ms + 2 * ageing_step_ms)) milliseconds'"
    old=$(sql a "SELECT (SELECT count(*) FROM consumer_claims WHERE ended_at < $limit)
        + (SELECT count(*) FROM claim_events WHERE occurred_at < $limit)")
    ((old == 0)) || failed "$old rows are older than the retention"
    limit="clock_timestamp() - interval '$((ageing_step_ms + ageing_step_ms / 2)) milliseconds'"
    old=$(sql a "SELECT count(*) FROM claim_leases WHERE lease_expires_at < $limit")
    ((old == 0)) || failed "$old claims are left that had lapsed before the last step"
}

resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/${pids[$1]}/status"; }
