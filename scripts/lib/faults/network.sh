# shellcheck shell=bash
# Sourced by test-faults: what can happen between any two programs that talk over a network. Each has a host of its own
# (hosts.sh). For each pair one fault plays everything that can happen between the two, one after the other, under the
# same loads; each has to be recovered from in its time, and all is judged together at the end.
#
# Two loads compete for the same entities, on two hosts, so that one can be cut off while the other goes on and takes
# over. What is cut off lasts longer than a lease of theirs (10 s), and than what makes an outage (5 s, R6).
# shellcheck disable=SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# shellcheck source=scripts/lib/faults/hosts.sh
source scripts/lib/faults/hosts.sh
# shellcheck source=scripts/lib/faults/silence.sh
source scripts/lib/faults/silence.sh

# For how long each lasts, in seconds. Silence that is longer than a lease and the reap grace (15 s) shows who ends claims
# that cannot be heard of; the others last longer than what makes an outage (5 s).
cut_lasts=6
hole_lasts=16
one_way_lasts=8
bad_lasts=6

# Times to recover, in milliseconds.
#
# Where there is another server: an attempt is given up after 5 s, then it takes at most 2 s to connect there (limits.rs of
# the client), and a second to be answered.
elsewhere_ms=8000
# The same with a server that is there without its database. What its last transactions have locked makes the other server
# answer UNAVAILABLE for those entities, whereupon a client goes back to the first: two attempts of 5 s are lost, seldom
# more, and the third is answered.
without_database_ms=16000
# Between runners and all servers: the first, then a pause of at most 2 s, at most 2 s to connect, and a second to be
# answered (limits.rs of the client).
callers_ms=10000
# Between servers and database: as after the promotion of a standby, an answer is waited for for 3 s, connecting takes 3 s
# at most, the caller pauses for 2 s (docs/failover.md); and a second.
database_ms=9000
# Where all of the network is slow or loses packets, and the entities are the same few: an attempt is given up after 5 s,
# and the third one comes through.
poor_ms=16000
# The reaper by itself: the first without the caller.
reaper_ms=7000
# Where nobody has to wait: some calls on a busy machine.
unconcerned_ms=3000
# Between primary and standby, what was not acknowledged is sent again with a pause that doubles each time: the last one
# ends at most as long after a silence as that lasted. A standby that was refused comes again after 5 s
# (wal_retrieve_retry_interval). Then callers come as above.
standby_ms=$((hole_lasts * 1000 + database_ms))

# scene_network [ARGUMENTS OF THE LOADS]
scene_network() {
    network_of load others one two reaper a
    scene_programs
    two_loads "$@"
}

two_loads() {
    load load --watch "$@"
    load others --watch "$@"
    under_load load
    under_load others
}

# everything HOW WITHIN_MS NAMES NAMES [NAMES NAMES]: all that can happen between them, one after the other, each played by
# HOW. Where all that use one way leave it for another, which they then keep to, the other follows: what they use is
# disturbed in turn.
everything() {
    local how=$1 within=$2 ours=$3 theirs=$4 then_ours=${5:-$3} then_theirs=${6:-$4}
    "$how" cut "$cut_lasts" "$within" cut_off "$ours" "$theirs"
    "$how" hole "$hole_lasts" "$within" black_hole "$then_ours" "$then_theirs"
    "$how" "one way" "$one_way_lasts" "$within" one_way_lost "$ours" "$theirs"
    "$how" "other way" "$one_way_lasts" "$within" one_way_lost "$then_theirs" "$then_ours"
    # Nobody leaves for a delay.
    "$how" delay "$bad_lasts" "$within" late "$ours" "$theirs" 400 100
    "$how" loss "$bad_lasts" "$within" lossy "$ours" "$theirs" 20
}

# When the last one was about to be over.
over=

# interrupted WHAT SECONDS WITHIN_MS COMMAND…: whoever is concerned can do nothing until it is over, and recovers then.
interrupted() {
    local what=$1 seconds=$2 within=$3
    shift 3
    say "$what for $seconds s"
    begins
    "$@"
    sleep "$seconds"
    over=$(now_ms)
    mend
    heals
    recovers "$within" load
    recovers "$within" others
    recovered_from "$what" 2
    everybody_comes "$within"
}

# one_sided WHAT SECONDS WITHIN_MS COMMAND…: the host of `load` can do nothing until it is over; that of `others` goes on.
one_sided() {
    local what=$1 seconds=$2 within=$3
    shift 3
    say "$what for $seconds s"
    begins
    from_here others
    "$@"
    sleep "$seconds"
    mend
    heals
    recovers "$within" load
    is_never_silent others "$unconcerned_ms"
    recovered_from "$what" 1
    everybody_comes "$within"
}

# sidestepped WHAT SECONDS WITHIN_MS COMMAND…: there is another way, which is taken while it lasts. When it is over,
# nobody waits again.
sidestepped() {
    local what=$1 seconds=$2 within=$3 come_by
    shift 3
    say "$what for $seconds s"
    begins
    from_here load others
    "$@"
    heals
    come_by=$((healed + within * slack))
    recovers "$within" load
    recovers "$within" others
    recovered_from "$what" 2
    sleep_until $((begun + seconds * 1000))
    mend
    from_the_end_of_it
    is_never_silent load "$within"
    is_never_silent others "$within"
    sleep_until "$come_by"
}

# Waits until both loads were granted something since it is over.
from_the_end_of_it() {
    heals
    eventually "load goes on" has_answers load
    eventually "others go on" has_answers others
}
has_answers() { [[ -n $(first_answers "$1") ]]; }

sleep_until() {
    local left=$(($1 - $(now_ms)))
    ((left <= 0)) || sleep "$((left / 1000)).$(printf '%03d' $((left % 1000)))"
}

# recovered_from WHAT NUMBER: says in the summary what the last times to recover were from.
recovered_from() {
    local times=("${recoveries[@]: -$2}")
    recoveries=("${recoveries[@]:0:$((${#recoveries[@]} - $2))}" "$1 ${times[*]}")
}

# everybody_comes WITHIN_MS: lets the time pass in which each has to be answered, so that `judge` can tell: it asks nothing
# of whoever was overtaken by the next fault.
everybody_comes() { sleep_until $((healed + $1 * slack)); }

fault network_a_server "network between the runners and one of two servers: they go to the other"
scene_network_a_server() { scene_network; }
fault_network_a_server() { everything sidestepped "$elsewhere_ms" "load others" one "load others" two; }

fault network_some_runners "network between one of two hosts of runners and both servers: the others take over"
scene_network_some_runners() { scene_network --may-lose; }
fault_network_some_runners() { everything taken_over_from "$callers_ms" load "one two"; }

# taken_over_from WHAT SECONDS WITHIN_MS COMMAND…: what is cut off for longer than a lease loses what it held.
taken_over_from() {
    local before
    before=$(count_taken_over)
    one_sided "$@"
    [[ $1 != hole ]] || (($(count_taken_over) > before)) || failed "$1: nothing was taken over"
}

fault network_all_runners "network between all runners and both servers"
scene_network_all_runners() { scene_network --may-lose; }
fault_network_all_runners() { everything interrupted "$callers_ms" "load others" "one two"; }

fault network_a_server_s_database "network between one of two servers and the database: callers go to the other"
scene_network_a_server_s_database() { scene_network; }
fault_network_a_server_s_database() { everything sidestepped "$without_database_ms" one a two a; }

fault network_servers_database "network between both servers and the database, which the reaper reaches: an outage (R6)"
scene_network_servers_database() { scene_network; }
fault_network_servers_database() { everything outage "$database_ms" "one two" a; }

# outage WHAT SECONDS WITHIN_MS COMMAND…: the servers take it for one if nothing got through to the database; what gets
# through without an answer may be a signature.
outage() {
    interrupted "${@:1:3}" silenced "${@:4}"
    case $1 in
    cut | hole | "one way") was_noticed a ;;
    esac
}

silenced() {
    "$@"
    nobody_signs
}

fault network_reaper_s_database "network between the reaper and the database: others wait for nothing but its locks"
scene_network_reaper_s_database() { scene_network; }
fault_network_reaper_s_database() { everything reaper_alone "$reaper_ms" reaper a; }

# reaper_alone WHAT SECONDS WITHIN_MS COMMAND…: no load waits for the reaper but for an entity that it has locked: for its
# transaction, which takes some six answers of the database, or until Postgres ends its session after 1 s. The reaper
# makes a pass again WITHIN_MS after it is over; until then claims may be late.
reaper_alone() {
    local what=$1 within=$(($3 * slack)) took
    sidestepped "$1" "$2" "$callers_ms" "${@:4}"
    eventually "the reaper makes a pass" reaper_passed_since "$healed"
    took=$(sql "$primary" "SELECT ceil(extract(epoch FROM min(started_at)) * 1000)::bigint - $healed FROM reaper_passes
        WHERE started_at >= to_timestamp($healed / 1000.0)")
    ((took <= within)) || failed "$what: the reaper makes a pass again only after $took ms, and not within $within ms"
    windows+=("$begun $((healed + within))")
    recoveries+=("the reaper $took of $within ms")
}
reaper_passed_since() {
    [[ $(sql "$primary" "SELECT max(started_at) >= to_timestamp($1 / 1000.0) FROM reaper_passes") == t ]]
}

fault network_standby "network between the primary and its synchronous standby: nothing is acknowledged meanwhile"
scene_network_standby() {
    network_of load others one two reaper a b
    scene_database
    synchronous_standby a b
    # shellcheck disable=SC2034
    database=$(url claims a b)
    scene_services
    two_loads
}
fault_network_standby() { everything unacknowledged "$standby_ms" a b; }

# unacknowledged WHAT SECONDS WITHIN_MS COMMAND…: nothing is, as long as nothing gets through.
unacknowledged() {
    local name told
    interrupted "$@"
    case $1 in
    cut | hole | *way) ;;
    *) return ;;
    esac
    for name in load others; do
        # What had come through before is answered in the first second.
        told=$(count_answers "$name" $((begun + 1000)) "$over" grant "done")
        ((told == 0)) || failed "$1: $told grants and dones were acknowledged without the standby"
    done
}

fault network_is_poor "network between all of them: 50 ms later; 5 % lost; the database behind 1 Mbit/s"
scene_network_is_poor() { scene_network; }
fault_network_is_poor() {
    all_pairs delay late 50 20
    all_pairs loss lossy 5
    sidestepped narrow "$hole_lasts" "$poor_ms" narrow a 1mbit
}

# all_pairs WHAT COMMAND ARGUMENTS…: between all that talk. They get on with it, if slowly.
all_pairs() {
    local what=$1 command=$2
    shift 2
    sidestepped "$what" "$hole_lasts" "$poor_ms" between_all "$command" "$@"
}
between_all() {
    local command=$1
    shift
    "$command" "load others" "one two" "$@"
    "$command" "one two reaper" a "$@"
}
