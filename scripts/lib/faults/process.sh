# shellcheck shell=bash
# Sourced by test-faults: programs that die, stop or are drained, each under load, and what takes their room.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# A client waits 5 s for an answer, then asks the next server (docs/clients.md): limits.rs, ATTEMPT_TIMEOUT.
other_server_ms=6000
# From when somebody starts a program: it starts, connects to a database that is there and is probed within 1 s;
# a client comes back after 2 s at most, and connects (limits.rs, BACKOFF_MAX).
restart_ms=5000
# Longer than the lease of the load (10 s), and than a silence that counts as an outage (5 s).
stopped_for=${stopped_for:-15}
# A supervisor that takes its time; long enough for an outage (5 s without a signature), too.
restarted_after=${restarted_after:-8}

fault server_is_killed "SIGKILL of one of two servers; started again"
fault_server_is_killed() {
    begins
    stop one KILL || true
    # Nobody mends anything: the other server takes the calls.
    heals
    recovers "$other_server_ms"
    nothing_is_late
    start_server one "$database"
    eventually "one is ready" is_ready one
    goes_on
}

fault servers_are_killed "SIGKILL of both servers at once; started again after $restarted_after s"
fault_servers_are_killed() {
    begins
    stop one KILL || true
    stop two KILL || true
    nobody_signs
    sleep "$restarted_after"
    heals
    start_server one "$database"
    start_server two "$database"
    recovers "$restart_ms"
    was_noticed a
    goes_on
}

fault server_is_stopped "SIGSTOP of one of two servers in the middle of a decision for $stopped_for s, then SIGCONT"
fault_server_is_stopped() {
    begins
    # Clients that have left a server do not come back by themselves: after server_is_killed all are here.
    stop_in_transaction two claim-server/decide
    heals
    recovers "$other_server_ms"
    nothing_is_late
    sleep "$stopped_for"
    # What it is asked from now on, and what lay in its queues, it must not answer from old memory.
    kill -CONT "${pids[two]}"
    eventually "two is ready" is_ready two
    goes_on
}

fault servers_are_stopped "SIGSTOP of both servers for $stopped_for s: an outage, after which holders are protected"
fault_servers_are_stopped() {
    begins
    kill -STOP "${pids[one]}" "${pids[two]}"
    nobody_signs
    sleep "$stopped_for"
    heals
    kill -CONT "${pids[one]}" "${pids[two]}"
    recovers "$other_server_ms"
    was_noticed a
    goes_on
}

fault server_is_drained "SIGTERM of a server under load; started again"
fault_server_is_drained() {
    local told
    begins
    heals
    told=$(now_ms)
    stop one TERM || failed "a drained server ends with $?"
    # CLAIM_SHUTDOWN_GRACE.
    (($(now_ms) - told <= 20000)) || failed "the drain took $(($(now_ms) - told)) ms"
    recovers "$other_server_ms"
    nothing_is_late
    start_server one "$database"
    goes_on
}

fault reaper_is_killed "SIGKILL of the only reaper; started again after $restarted_after s"
fault_reaper_is_killed() {
    begins
    stop reaper KILL || true
    sleep "$restarted_after"
    heals
    starts_reaper reaper
    recovers "$restart_ms"
    goes_on
}

fault reaper_is_stopped "SIGSTOP of the only reaper in the middle of a transaction for $stopped_for s, then SIGCONT"
fault_reaper_is_stopped() {
    begins
    stop_in_transaction reaper claim-reaper
    sleep "$stopped_for"
    heals
    kill -CONT "${pids[reaper]}"
    recovers "$restart_ms"
    goes_on
}

fault reapers_compete "two reapers; one is stopped in the middle of a transaction, goes on, and is killed"
scene_reapers_compete() {
    scene_default
    starts_reaper another
}
fault_reapers_compete() {
    stop_in_transaction reaper claim-reaper
    sleep "$stopped_for"
    kill -CONT "${pids[reaper]}"
    goes_on
    stop reaper KILL || true
    goes_on
    starts_reaper reaper
}

fault runner_is_stopped "SIGSTOP of one of two runners for $stopped_for s, longer than its leases, then SIGCONT"
scene_runner_is_stopped() {
    scene_default
    load runner --may-lose
    under_load runner 50
}
fault_runner_is_stopped() {
    local before
    begins
    kill -STOP "${pids[runner]}"
    # The other one takes over what this one holds.
    before=$(count_taken_over)
    sleep "$stopped_for"
    (($(count_taken_over) > before)) || failed "the stopped runner held nothing"
    heals
    kill -CONT "${pids[runner]}"
    recovers "$other_server_ms" runner
    nothing_is_late
    goes_on runner
}

# Claims of workers, which heartbeat, that ended by a newer mint or the reaper.
count_taken_over() {
    sql "$primary" "SELECT count(*) FROM consumer_claims WHERE state = 'expired' AND consumer_id LIKE 'worker-%'"
}

fault runner_is_killed "SIGKILL of one of two runners, with all that it holds"
scene_runner_is_killed() { scene_runner_is_stopped; }
fault_runner_is_killed() {
    begins
    stop runner KILL || true
    heals
    recovers "$other_server_ms"
    nothing_is_late
    eventually "what the runner held is ended" taken_over
}
taken_over() { (($(count_taken_over) > 0)); }

fault connections_are_taken "strangers take every connection that Postgres has, for $stopped_for s"
scene_connections_are_taken() {
    # Room for two servers (15 each), the reaper and the judge.
    scene_database "max_connections = $connections"
    scene_services
    load load
    under_load load
}
connections=40
fault_connections_are_taken() {
    local i strangers=()
    # The session that lets them in and out stays.
    coproc ADMIN { psql -X -q -A -t -h 127.0.0.1 -p "${ports[a]}" -U postgres -d postgres 2>&1; }
    pids[admin]=$ADMIN_PID
    begins
    # Nobody comes back before all are in.
    admin "ALTER DATABASE claims ALLOW_CONNECTIONS false; SELECT 1"
    admin "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'claims'"
    for ((i = 0; i < connections; i++)); do
        PGAPPNAME=stranger psql -X -q -h 127.0.0.1 -p "${ports[a]}" -U postgres -d postgres -c "SELECT pg_sleep(3600)" \
            >/dev/null 2>&1 &
        strangers+=($!)
    done
    eventually "strangers have every connection" are_taken
    admin "ALTER DATABASE claims ALLOW_CONNECTIONS true; SELECT 1"
    sleep "$stopped_for"
    (($(admin "SELECT count(*) FROM pg_stat_activity WHERE datname = 'claims'
        AND backend_type = 'client backend'") == 0)) || failed "the servers found room"
    heals
    admin "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'stranger'"
    wait "${strangers[@]}" 2>/dev/null || true
    recovers "$other_server_ms"
    was_noticed a
    stop admin || true
    goes_on
}

# Says something in that session, and reads its one line of answer.
admin() {
    local answer
    printf '%s;\n' "$1" >&"${ADMIN[1]}"
    read -r -t "$patience" answer <&"${ADMIN[0]}" || failed "no answer to $1"
    printf '%s\n' "$answer"
}

are_taken() {
    (($(admin "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") >= connections))
}

fault rows_are_held "a stranger locks every entity and lease that there is, for 4 s: who ends a claim waits"
fault_rows_are_held() {
    begins
    # Shorter than what a lease has left at least between two heartbeats, so that nobody may lose anything.
    sql a "BEGIN; SET lock_timeout = '30s'; SELECT count(*) FROM (SELECT FROM entity_dispatch_state ORDER BY tenant_id,
        entity_url FOR UPDATE) AS e; SELECT count(*) FROM (SELECT FROM claim_leases FOR UPDATE) AS l;
        SELECT pg_sleep(4); COMMIT" >/dev/null
    heals
    (($(count_answers load $((healed - 3500)) $((healed - 1000)) "done") == 0)) || failed "somebody did not wait"
    recovers "$restart_ms"
    goes_on
}

# stop_in_transaction NAME APPLICATION: SIGSTOP at a moment when a transaction of it is open, whose locks are
# then held until Postgres ends its session (idle_in_transaction_session_timeout, 1 s).
stop_in_transaction() {
    local deadline=$((SECONDS + patience)) ended
    ended=$(ended_transactions)
    kill -STOP "${pids[$1]}"
    # That of another program would go on by itself.
    until (($(open_transactions "$2") > 0)) && are_ended "$ended"; do
        ((SECONDS < deadline)) || failed "$1 is never in a transaction"
        kill -CONT "${pids[$1]}"
        # Any other moment will do.
        sleep "0.0$((RANDOM % 9 + 1))"
        ended=$(ended_transactions)
        kill -STOP "${pids[$1]}"
    done
}

# Sessions that wait in a transaction for their program, and did so 50 ms ago; others come and go.
open_transactions() {
    sql "$primary" "SELECT pg_sleep(0.06); SELECT count(*) FROM pg_stat_activity WHERE application_name = '$1'
        AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '50 milliseconds'" | tail -n 1
}

ended_transactions() { grep -c "due to idle-in-transaction timeout" "$rehearsal/$primary.log" || true; }

# are_ended BEFORE: Postgres has ended more transactions than before, within two seconds.
are_ended() {
    local i
    for ((i = 0; i < 20; i++)); do
        (($(ended_transactions) <= $1)) || return 0
        sleep 0.1
    done
    return 1
}
