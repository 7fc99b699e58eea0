# shellcheck shell=bash
# Sourced by test-faults for --self-test: lies that are planted in the database under load, each as a broken service
# would tell it. The judgement has to turn red for each, and for the right reason.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# Names in order, and what the failure has to say: expressions, one a line, each of which must be there.
lie_names=()
declare -A lie_found_as

lie() {
    lie_names+=("$1")
    fault_lines[$1]=$2
    lie_found_as[$1]=$3
}

# planted STATEMENT: repeats it until it changed a row.
planted() {
    eventually "a lie can be planted" changes_a_row "WITH lie AS ($1 RETURNING 1) SELECT count(*) FROM lie"
}
changes_a_row() { (($(sql a "SET lock_timeout = '1s'; $1") > 0)); }

# Any one row of consumer_claims that fulfils a condition.
one_claim() {
    local key="tenant_id, consumer_id, epoch"
    printf '%s' "($key) = (SELECT $key FROM consumer_claims WHERE $1 LIMIT 1)"
}

lie grant_is_forgotten "the row of an acknowledged claim deleted" "was granted and is gone
an acknowledged grant is lost"
fault_grant_is_forgotten() { planted "DELETE FROM consumer_claims WHERE $(one_claim "state = 'released'")"; }

lie done_is_undone "an acknowledged done replaced by an expiry" "was reported done and is CLAIM_STATE_EXPIRED
an acknowledged done is lost"
fault_done_is_undone() {
    planted "UPDATE consumer_claims SET state = 'expired', end_reason = 'lease_lapsed', acked_streams = NULL
        WHERE $(one_claim "state = 'released'")"
}

lie fence_is_lowered "the fence of an entity set back" "fence [0-9]+ after [0-9]+
a fence did not rise"
fault_fence_is_lowered() {
    planted "UPDATE entity_dispatch_state SET fence = fence - 5 WHERE state = 'idle' AND fence > 6"
    goes_on
}

lie lease_is_set_back "the lease of a holder set back, as by an expiry that comes early" "may write"
fault_lease_is_set_back() {
    local i
    # Held for long: heartbeaten already. Not each of them is still held when it is noticed.
    for i in 1 2 3 4 5; do
        planted "UPDATE claim_leases SET lease_expires_at = clock_timestamp()
            WHERE consumer_id LIKE 'worker-%' AND last_heartbeat_at IS NOT NULL"
        under_load load $(($(count_grants load) + 5 * i))
    done
}

lie expiry_is_early "a claim that was expired before the end of its lease" "expired early"
fault_expiry_is_early() {
    planted "UPDATE consumer_claims SET lease_expires_at = ended_at + interval '1 second'
        WHERE $(one_claim "state = 'expired'")"
}

lie reaper_is_hasty "a claim that a reaper expired without its grace" "reaped early"
fault_reaper_is_hasty() {
    planted "UPDATE consumer_claims SET lease_expires_at = ended_at - interval '1 second'
        WHERE $(one_claim "state = 'expired' AND ended_at > lease_expires_at + interval '4 seconds'")"
}

lie reaper_is_late "a claim that a reaper left for half a minute" "ended late"
fault_reaper_is_late() {
    planted "UPDATE consumer_claims SET lease_expires_at = lease_expires_at - interval '30 seconds'
        WHERE $(one_claim "state = 'expired'")"
}

lie outage_is_ignored "a claim expired within the outage grace" "expired early"
fault_outage_is_ignored() {
    eventually "a claim is reaped" changes_a_row "SELECT count(*) FROM consumer_claims WHERE state = 'expired'"
    resumes+=("$(sql a "SELECT claimed_at + interval '1 second' FROM consumer_claims WHERE state = 'expired' LIMIT 1")")
}

lie silence_is_ignored "a claim expired while no server signs" "expired in an outage"
fault_silence_is_ignored() {
    eventually "a claim is reaped" changes_a_row "SELECT count(*) FROM consumer_claims WHERE state = 'expired'"
    silences+=("$(sql a "SELECT format('%s %s', ended - 6000, ended + 1000) FROM (
        SELECT floor(extract(epoch FROM ended_at) * 1000)::bigint AS ended
        FROM consumer_claims WHERE state = 'expired' LIMIT 1) AS one")")
}

lie two_may_write "the token of a claim that was taken over made good again" "an older holder wrote
writes with fence"
fault_two_may_write() {
    local deadline=$((SECONDS + patience)) statement
    # Whose token goes on writing although his claim was taken over.
    statement="WITH given AS (
        SELECT c.tenant_id, c.consumer_id, c.epoch, o.token_digest
        FROM consumer_claims AS c JOIN consumer_claims AS o USING (tenant_id, entity_url)
        WHERE c.state = 'active' AND o.state = 'expired' AND o.consumer_id LIKE 'abandons-%'
            AND o.ended_at > clock_timestamp() - interval '2 seconds'
    ), lease AS (
        UPDATE claim_leases AS l SET token_digest = g.token_digest FROM given AS g
        WHERE (l.tenant_id, l.consumer_id, l.epoch) = (g.tenant_id, g.consumer_id, g.epoch)
    ), claim AS (
        UPDATE consumer_claims AS c SET token_digest = g.token_digest FROM given AS g
        WHERE (c.tenant_id, c.consumer_id, c.epoch) = (g.tenant_id, g.consumer_id, g.epoch) RETURNING 1
    ) SELECT count(*) FROM claim"
    local planted=0
    while ((planted < 10 && SECONDS < deadline)); do
        ! changes_a_row "$statement" || planted=$((planted + 1))
        sleep 0.1
    done
    goes_on
}

lie claim_leaks "an abandoned claim whose lease was moved far ahead" "a lease is longer than it may be"
fault_claim_leaks() {
    planted "UPDATE claim_leases SET lease_expires_at = clock_timestamp() + interval '1 hour'
        WHERE (tenant_id, consumer_id, epoch) IN (SELECT tenant_id, consumer_id, epoch FROM consumer_claims
            WHERE state = 'active' AND entity_url LIKE '%/abandoned/%')"
}

lie token_is_logged "a write token in a log" "a write token is in .*one.log"
fault_token_is_logged() {
    load other
    under_load other 20
    stop other || true
    sed -n 's/.*"token":"\([^"]*\)".*/\1/p' "$rehearsal/other.record" >>"$rehearsal/one.log"
}

lie reaper_is_gone "a reaper that has ended unnoticed" "reaper has ended"
fault_reaper_is_gone() { kill -9 "${pids[reaper]}"; }

lie some_are_not_answered "a server that answers nobody in time, beside one that does" "answered late"
scene_some_are_not_answered() {
    scene_programs
    servers=http://${addresses[one]} load load
    servers=http://${addresses[two]} load other
    under_load load
    under_load other
}
fault_some_are_not_answered() {
    begins
    kill -STOP "${pids[two]}"
    heals
    recovers 3000
    sleep 6
    kill -CONT "${pids[two]}"
    goes_on other
}

lie nobody_is_answered "a service that does not come back in time" "answered again only after|not answered any more"
fault_nobody_is_answered() {
    begins
    kill -STOP "${pids[one]}" "${pids[two]}"
    heals
    sleep 4
    kill -CONT "${pids[one]}" "${pids[two]}"
    recovers 3000
}
