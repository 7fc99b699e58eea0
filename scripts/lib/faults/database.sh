# shellcheck shell=bash
# Sourced by test-faults: what can become of the database. What can become of its disk is in disk.sh.
#
# Postgres is started again by a supervisor where its own processes do not do that, as on any real machine. `heals` is said
# when it takes writes again: from then on everything is the service's matter.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# shellcheck source=scripts/lib/standby.sh
source scripts/lib/standby.sh
# shellcheck source=scripts/lib/faults/supervisor.sh
source scripts/lib/faults/supervisor.sh
# shellcheck source=scripts/lib/faults/disk.sh
source scripts/lib/faults/disk.sh

# From when the database takes writes again, longest time until everybody is answered, in milliseconds; what
# docs/failover.md promises of a promotion. A server tries to connect every 0.1 s, for 3 s at most; a client's attempt
# counts as lost after 5 s, and it comes back after 2 s at most (limits.rs, ATTEMPT_TIMEOUT and BACKOFF_MAX).
back_within=10000
# How long an outage lasts that nobody can sleep through, in seconds: longer than the 5 s after which claims are protected
# (R6), and than the load's leases of 10 s.
long=15

# Programs and a load on a database that is there.
scene_under_load() {
    scene_services
    load load
    under_load load
}

# has_logged CLUSTER PATTERN
has_logged() { grep -Eq "$2" "$rehearsal/$1.log"; }

# was_noticed CLUSTER: the servers took what `begins` began for an outage, so that holders were protected (R6). A server
# signs every 2 s. If nobody_signs told from when, nobody may be expired until they were back.
was_noticed() {
    local resumed
    eventually "an outage of more than 5 s is noticed" has_resumed "$1"
    [[ -n $silent ]] || return 0
    resumed=$(sql "$1" "SELECT floor(extract(epoch FROM resumed_at) * 1000)::bigint FROM service_liveness")
    silences+=("$silent $resumed")
}

has_resumed() {
    (($(sql "$1" "SELECT floor(extract(epoch FROM resumed_at) * 1000)::bigint FROM service_liveness") > begun))
}

# was_answered SERVER: it told callers that the database is away, and did not let them hang.
was_answered() {
    (($(unavailable "$1") > 0)) || failed "$1 told nobody that the database is unavailable"
}

# unavailable SERVER: how often it was told.
unavailable() {
    local address=${addresses[$1/probes]}
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
    printf 'GET /metrics HTTP/1.0\r\nHost: %s\r\n\r\n' "$address" >&3
    awk '/^claim_refusals_total/ && /"DATABASE_UNAVAILABLE"/ { sum += $2 } END { print sum + 0 }' <&3
    exec 3>&-
}

fault postgres_restarts "Postgres restarted in an orderly way (fast)"
fault_postgres_restarts() { restart_postgres fast; }

fault postgres_restarts_immediately "Postgres restarted without an orderly end (immediate), so that it has to recover"
fault_postgres_restarts_immediately() { restart_postgres immediate; }

restart_postgres() {
    begins
    pg pg_ctl -D "$rehearsal/a" -l "$rehearsal/a.log" -m "$1" -w -t "$patience" restart >/dev/null
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault postgres_is_killed "SIGKILL to all of Postgres; its supervisor starts it again"
fault_postgres_is_killed() {
    supervise a
    begins
    kill_cluster a
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault backend_is_killed "SIGKILL to one session of a server, for which Postgres ends all of them and recovers"
fault_backend_is_killed() {
    local session
    session=$(sql a "SELECT pid FROM pg_stat_activity WHERE application_name = 'claim-server/decide' LIMIT 1")
    begins
    kill -9 "$session"
    eventually "Postgres ends all sessions" has_logged a 'all server processes terminated; reinitializing'
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault postgres_is_away "Postgres stopped for longer than a lease, as for a small upgrade"
fault_postgres_is_away() {
    begins
    pg pg_ctl -D "$rehearsal/a" -m fast -w -t "$patience" stop >/dev/null
    sleep "$long"
    was_answered one
    start_cluster a
    is_back a
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}

fault primary_is_lost "the primary killed while it runs ahead of its synchronous standby, which is promoted"
scene_primary_is_lost() {
    scene_database
    synchronous_standby a b
    database=$(url claims a b)
    scene_under_load
}
fault_primary_is_lost() {
    is_not_used b || failed "a standby is used"
    begins
    run_ahead a
    kill_cluster a
    heals
    promote b
    primary=b
    recovers "$back_within"
    goes_on
}

fault standby_is_lost "the synchronous standby killed, so that no commit is answered, and started again"
scene_standby_is_lost() { scene_primary_is_lost; }
fault_standby_is_lost() {
    local before
    begins
    kill_cluster b
    # What was under way has ended, or waits.
    eventually "commits wait" waits_for_standby a
    sleep 1
    before=$(grants_in a)
    sleep "$long"
    waits_for_standby a || failed "commits do not wait for the standby"
    (($(grants_in a) == before)) || failed "something was granted without the standby"
    say "sessions, and those that wait: $(sql a "SELECT count(*), count(*) FILTER (WHERE wait_event = 'SyncRep')
        FROM pg_stat_activity WHERE application_name LIKE 'claim-%'" postgres)"
    was_answered one
    start_cluster b
    eventually "b is synchronous again" is_synchronous a b
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
    eventually "no session is left over" are_no_more_than_needed a
}

# Each server has up to 15, the reaper one (docs/operations.md).
are_no_more_than_needed() {
    (($(sql "$1" "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'claim-%'" postgres) <= 31))
}

waits_for_standby() {
    (($(sql "$1" "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'" postgres) > 0))
}

# grants_in CLUSTER: how many it shows.
grants_in() { sql "$1" "SELECT count(*) FROM claim_events WHERE type IN ('minted', 'reminted')"; }

fault database_is_read_only "default_transaction_read_only turned on for a while, as by a full managed disk"
fault_database_is_read_only() {
    begins
    sql a "ALTER SYSTEM SET default_transaction_read_only = on" postgres
    sql a "SELECT pg_reload_conf()" postgres >/dev/null
    sleep "$long"
    was_answered one
    sql a "ALTER SYSTEM RESET default_transaction_read_only" postgres
    sql a "SELECT pg_reload_conf()" postgres >/dev/null
    is_back a
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}

fault leases_are_locked "a stranger's long transaction holds up VACUUM FULL of the leases, and that everybody else"
scene_leases_are_locked() {
    scene_default
    # One that nobody sends heartbeats to would not find out by itself that none is served.
    start_server idle "$database"
}
fault_leases_are_locked() {
    begins
    # Reads the table once and stays in its transaction: nobody is in its way until somebody wants the table alone.
    sql a "BEGIN; SELECT count(*) FROM claim_leases; SELECT pg_sleep($long); COMMIT" >/dev/null &
    pids[stranger]=$!
    eventually "the stranger sleeps" sleeps a
    # Waits for him, and everybody who comes later waits behind it.
    sql a "VACUUM FULL claim_leases" &
    pids[vacuum]=$!
    wait "${pids[stranger]}" "${pids[vacuum]}" || failed "the strangers failed"
    unset 'pids[stranger]' 'pids[vacuum]'
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}

sleeps() { (($(sql "$1" "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'" postgres) > 0)); }
