# shellcheck shell=bash
# Sourced by test-faults: the wall clock of one host is set while its programs run, by libfaketime, which is loaded into
# them and adds to what the machine's clock says. The monotonic clock, which nobody can set, is left alone.
#
# Only the database's clock decides anything. So nothing may change when another one is set. When the database's own is
# set, then
#
# * forward, all leases lapse at once by it, and the last signature is more than 5 s old: R6 protects every claim from
#   mints and reapers until its holder is heard of, and for the outage grace. Until that heartbeat AuthorizeWrite
#   refuses (W1 is strict).
# * back, what runs lies an hour ahead: its next heartbeat cuts it to ten minutes (H2), and who is not heard of any more
#   keeps his entity until the clock has come to the end of his lease. What begins after the step is as ever.
#
# Times before and after a step cannot be compared. How it is judged all the same: `judge` compares a claim's end with
# its lease and with `resumed`, both by the clock of that moment, which lies an hour from any other; and what the loads
# saw, by the monotonic clock.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# shellcheck source=scripts/lib/faults/packages.sh
source scripts/lib/faults/packages.sh
# shellcheck source=scripts/lib/faults/silence.sh
source scripts/lib/faults/silence.sh

# How far a clock is set, in seconds.
clock_step=3600
# For how long it stays so, in seconds: longer than a lease of the load (10 s), so that whoever counts by the wrong clock
# loses what he has.
clock_stays=14
# Nobody waits when another clock than the database's is set: some calls on a busy machine.
unnoticed_ms=3000
# When the database's is set: its holders report done as ever, and the entities are free for others. Nothing was away,
# so that no call waits for its repetition; a lapsed lease costs a second look at a heartbeat.
noticed_ms=5000

ensure_faketime() {
    [[ -n $(faketime_library) ]] || install_packages libfaketime
    [[ -n $(faketime_library) ]] || failed "there is no libfaketime"
}

faketime_library() { find /usr/lib /usr/local/lib -name libfaketime.so.1 -print -quit; }

# clocks_of NAME…: these programs go by a clock of their own from now on.
clocks_of() {
    local name library clocks=${rehearsal:?}/clocks
    library=$(faketime_library)
    at_end forget_clocks
    mkdir -p "$clocks"
    chmod 755 "$clocks"
    for name in "$@"; do
        set_clock "$name" 0
        # Each look at the clock is one at the file, so that all processes of a host see a step at once.
        in_front["$name"]="env LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=$clocks/$name FAKETIME_NO_CACHE=1"
        in_front["$name"]+=" FAKETIME_DONT_FAKE_MONOTONIC=1"
    done
}

# What libfaketime leaves of programs that were killed.
forget_clocks() {
    local pid
    in_front=()
    for pid in "${pids[@]}"; do
        rm -f "/dev/shm/faketime_shm_$pid" "/dev/shm/sem.faketime_sem_$pid"
    done
}

# set_clock NAME SECONDS: to so much before (with a minus) or after the machine's.
set_clock() {
    local file=$rehearsal/clocks/$1
    printf '%+d\n' "$2" >"$file.next"
    chmod 644 "$file.next"
    mv "$file.next" "$file"
}

# scene_clocks NAME [ARGUMENTS OF THE LOAD]
scene_clocks() {
    ensure_faketime
    clocks_of "$1"
    shift
    scene_default --watch "$@"
}

fault clock_of_a_server "wall clock of a server's host an hour forward, then back: nothing changes"
scene_clock_of_a_server() { scene_clocks one; }
fault_clock_of_a_server() { is_unnoticed one; }

fault clock_of_the_runners "wall clock of the runners' host an hour forward, then back: nothing changes"
scene_clock_of_the_runners() { scene_clocks load --clocks-differ; }
fault_clock_of_the_runners() { is_unnoticed load; }

fault clock_of_the_reaper "wall clock of the reaper's host an hour forward, then back: nothing changes"
scene_clock_of_the_reaper() { scene_clocks reaper; }
fault_clock_of_the_reaper() { is_unnoticed reaper; }

# is_unnoticed NAME: its clock is set, and nobody waits for anything.
is_unnoticed() {
    local seconds
    for seconds in "$clock_step" "-$clock_step"; do
        begins
        from_here load
        set_clock "$1" "$seconds"
        goes_by "$1" "$seconds"
        sleep "$clock_stays"
        set_clock "$1" 0
        heals
        recovers "$unnoticed_ms"
        is_never_silent load "$unnoticed_ms"
    done
}

# goes_by NAME SECONDS: the program has the clock of its own, and by that clock it is so much later.
goes_by() {
    local here there
    grep -q libfaketime "/proc/${pids[$1]}/maps" || failed "$1 goes by the clock of the machine"
    here=$(date +%s)
    # shellcheck disable=SC2086
    there=$(${in_front[$1]} date +%s)
    ((there - here - $2 >= -2 && there - here - $2 <= 2)) || failed "the clock of $1 is $((there - here)) s ahead"
}

fault clock_of_the_database_forward "wall clock of the database an hour forward: all leases lapse at once, nobody loses"
scene_clock_of_the_database_forward() { scene_clock_of_the_database; }
fault_clock_of_the_database_forward() {
    begins
    from_here load
    set_clock a "$clock_step"
    # It stays so, and is the right time from now on.
    heals
    recovers "$noticed_ms"
    was_an_outage
    sleep "$clock_stays"
    is_never_silent load "$noticed_ms"
}

fault clock_of_the_database_back "wall clock of the database an hour back, then right: leases lie an hour ahead"
scene_clock_of_the_database_back() { scene_clock_of_the_database; }
fault_clock_of_the_database_back() {
    begins
    from_here load
    set_clock a "-$clock_step"
    heals
    recovers "$noticed_ms"
    was_an_outage
    sleep "$clock_stays"
    is_never_silent load "$noticed_ms"
    no_heartbeat_reaches_further
    # The second step, by which at last those lapse of whom nobody is heard any more.
    begins
    from_here load
    set_clock a 0
    heals
    recovers "$noticed_ms"
    was_an_outage
    is_never_silent load "$noticed_ms"
}

scene_clock_of_the_database() {
    clock_was_set=true
    scene_clocks a --clocks-differ --leases-may-lapse
}

# The servers took the step for an outage, so that claims are protected.
was_an_outage() {
    eventually "the step is noticed" resumed_now
}
resumed_now() {
    [[ $(sql "$primary" "SELECT resumed_at > '${resumes[-1]}' OR resumed_at < '${resumes[-1]}' FROM service_liveness") == t ]]
}

# Since the clock was set back, no lease that was heartbeaten by it runs for longer than ten minutes (H2).
no_heartbeat_reaches_further() {
    local further
    further=$(sql "$primary" "SELECT count(*) FROM claim_leases WHERE last_heartbeat_at <= clock_timestamp()
        AND lease_expires_at > clock_timestamp() + interval '10 minutes'")
    ((further == 0)) || failed "$further leases run for longer than ten minutes after their heartbeat"
}
