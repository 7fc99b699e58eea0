# shellcheck shell=bash
# Sourced by test-faults for --self-test: databases that forget what they acknowledged, as docs/failover.md and
# docs/operations.md warn of them. The judgement has to see what is lost.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# Which of them depends on what was acknowledged last: an entity that is granted again gives a fence a second time, and
# one that is not may still lack its done.
forgotten='a fence did not rise|an acknowledged (grant|done) is lost'

lie standby_is_asynchronous "a standby promoted that was not synchronous, and behind" \
    "$forgotten"
scene_standby_is_asynchronous() {
    scene_database
    copy_of a b -R -C -S slot_b
    start_cluster b
    database=$(url claims a b)
    scene_under_load
}
fault_standby_is_asynchronous() {
    run_ahead a
    kill_cluster a
    promote b
    primary=b
    goes_on
}

lie commits_are_not_synced "all of Postgres killed with synchronous_commit off" \
    "$forgotten"
scene_commits_are_not_synced() {
    scene_database "synchronous_commit = off"
    scene_under_load
}
fault_commits_are_not_synced() {
    # Else it hands on each full page at once, and what is left in memory may hold nothing that was answered.
    kill -STOP "$(sql a "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")"
    sleep 2
    kill_cluster a
    start_cluster a
    goes_on
}
