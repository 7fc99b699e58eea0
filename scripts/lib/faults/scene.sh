# shellcheck shell=bash
# Sourced by test-faults after rehearsal.sh: the scene that a fault is played in, and the judgement at its end.
#
# A file of faults registers each with `fault NAME "one line"` and defines
#
#   fault_NAME    plays it; called once the scene runs under load. It calls, in this order,
#                   begins        something goes wrong from here on
#                   heals         from here on the documented time to recover runs
#                   recovers MS   the load is granted and reports something again, within that time; its writes
#                                 are authorized again; and nobody who waits then, or asks soon after, waits for
#                                 longer (at the judgement)
#   scene_NAME    optional: another scene than scene_default
#
# The driver then calls judge, whatever the fault.
# shellcheck disable=SC2034,SC2154  # faults read these; rehearsal.sh sets what is not set here

# Names in the order of registration, and a line for each.
fault_names=()
declare -A fault_lines

# What runs as a load, and the cluster whose database the judgement asks.
loads=()
primary=a
database=
# Times of faults in milliseconds since 1970, "from to": in between nothing has to be on time.
windows=()
# When the service came back from outages, as the database says it: claims not heard of since are protected (R6).
resumes=()
# Times of outages in milliseconds since 1970, "from to": in between nobody is expired (R6).
silences=()
# Times to recover, for the summary; and "from ms": whoever waited then, or asked afterwards, waits no longer.
recoveries=()
waits=()
begun=
silent=
healed=

# Of the programs' defaults (docs/operations.md).
outage_grace_ms=30000
reap_grace_ms=5000
# Pass to pass, as start_reaper sets it, and how long a pass may take on a busy machine.
reaper_interval_ms=1000
pass_ms=2000
# How much longer everything may take: 1 where the machine does nothing else. On two cores with eighteen programs that
# wanted them a connection to Postgres alone took five seconds.
slack=${FAULTS_SLACK:-1}
# Rows may have been removed by retention.
is_pruned=false
# The database's clock was set in this scene: a claim may have ended before it began.
clock_was_set=false

fault() {
    fault_names+=("$1")
    fault_lines[$1]=$2
}

# scene_default [ARGUMENTS OF THE LOAD]: a fresh cluster a, servers one and two, a reaper, and a load.
scene_default() {
    scene_programs
    load load "$@"
    under_load load
}

# All of it but the load.
scene_programs() {
    # shellcheck disable=SC2119  # no line more
    scene_database
    scene_services
}

# scene_database [LINE OF postgresql.conf]: the cluster with its database.
# shellcheck disable=SC2120
scene_database() {
    cluster a
    if (($# > 0)); then
        as_postgres tee -a "$rehearsal/a/postgresql.conf" <<<"$1" >/dev/null
        pg pg_ctl -D "$rehearsal/a" -l "$rehearsal/a.log" -w restart >/dev/null
    fi
    sql a "CREATE DATABASE claims" postgres
    primary=a
    database=$(url claims a)
    in_host one env DATABASE_URL="$database" "$programs/claim-server" migrate >&2
}

scene_services() {
    start_server one "$database"
    start_server two "$database"
    starts_reaper reaper
    for name in one two; do
        eventually "$name is ready" is_ready "$name"
    done
}

# Without the brake, which would hold back claims that are abandoned on purpose; it has tests of its own
# (worker/tests/reaper).
starts_reaper() { CLAIM_BRAKE_SHARE=1 start_reaper "$1" "$database"; }

# load NAME [ARGUMENTS]: starts one. Nothing it asks may fail for good within a minute.
load() {
    local name=$1
    shift
    loads+=("$name")
    start_witness "$name" "${servers:-http://${addresses[one]},http://${addresses[two]}}" --until-told \
        --writes "$rehearsal/$name.writes" --record "$rehearsal/$name.record" --abandon-one-in 15 \
        --clients 8 --call-deadline 60s --no-failures "$@"
}

# Waits until a load has been granted this many claims.
under_load() { eventually "$1 is granted ${2:-100} claims" has_grants "$1" "${2:-100}"; }
has_grants() { (($(grep -c ^grant "$rehearsal/$1.writes") >= $2)); }

count_grants() { grep -c ^grant "$rehearsal/$1.writes"; }

# goes_on [LOAD]: waits until it was granted so many more.
goes_on() { under_load "${1:-load}" $(($(count_grants "${1:-load}") + 50)); }

# Notes when the service last came back, as long as the database can be asked.
note_resumes() {
    local at
    at=$(sql "$primary" "SELECT resumed_at FROM service_liveness" 2>/dev/null) || return 0
    [[ -z $at ]] || resumes+=("$at")
}

begins() {
    note_resumes
    begun=$(now_ms)
    silent=
    healed=
}

# nobody_signs: no server can sign from here on; what Postgres was told before takes no longer than a second.
nobody_signs() { silent=$(($(now_ms) + 1000)); }

heals() { healed=$(now_ms); }

# recovers MS [LOAD]: waits until a claim was granted and another reported done after `heals`.
recovers() {
    local within=$(($1 * slack)) name=${2:-load} deadline=$((SECONDS + patience)) took=
    windows+=("$begun $((healed + within))")
    waits+=("$healed $within")
    until took=$(first_answers "$name") && [[ -n $took ]]; do
        ((SECONDS < deadline)) || failed "$name is not answered any more"
        sleep 0.1
    done
    ((took <= within)) || failed "$name is answered again only after $took ms, and not within $within ms"
    # Its owner of streams is a plain client without time limits, which the kernel may keep waiting.
    eventually "writes of $name are authorized again" has_written_since "$name" "$healed"
    recoveries+=("$took of $within ms")
    say "recovered after $took ms, of $within ms"
}
has_written_since() { (($(count_answers "$1" "$2" "$(now_ms)" write) > 0)); }

# Whoever ends claims was not touched by this fault: nothing is excused for it.
nothing_is_late() {
    local window excused=()
    for window in ${windows[@]+"${windows[@]}"}; do
        [[ ${window% *} == "$begun" ]] || excused+=("$window")
    done
    windows=(${excused[@]+"${excused[@]}"})
}

# count_answers LOAD FROM_MS TO_MS KIND…: how many of these kinds it had in between.
count_answers() {
    local name=$1 from=$2 to=$3
    shift 3
    awk -v from="$from" -v to="$to" -v kinds=" $* " \
        'NF == 8 && index(kinds, " " $1 " ") && $8 > from && $8 < to' "$rehearsal/$name.writes" | wc -l
}

# Milliseconds from `heals` to the later of the first grant and the first done; nothing if one is missing.
first_answers() {
    awk -v healed="$healed" '
        NF == 8 && $8 >= healed && ($1 == "grant" || $1 == "done") && !($1 in first) { first[$1] = $8 - healed }
        "grant" in first && "done" in first {
            print (first["grant"] > first["done"] ? first["grant"] : first["done"])
            exit
        }' "$rehearsal/$1.writes"
}

# judge NAME: ends the loads, and fails unless everything in the scene was as promised. All that is wrong is told.
judge() {
    local name told all_wrong wrong=()
    # Nobody may have stayed behind, whether anybody asks him or not.
    for name in "${!addresses[@]}"; do
        [[ $name == */probes && -n ${pids[${name%/probes}]:-} ]] || continue
        eventually "${name%/probes} is ready" is_ready "${name%/probes}"
    done
    # All of them first: what one audits, another would only delay.
    for name in "${loads[@]}"; do
        [[ -z ${pids[$name]:-} ]] || kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    for name in "${loads[@]}"; do
        [[ -z ${pids[$name]:-} ]] || end_load "$name" ||
            wrong+=("$name: $(saw "$name" violations) $(saw "$name" last_failure) $(tail -n 3 "$rehearsal/$name.log")")
    done
    for name in "${!pids[@]}"; do
        is_running "${pids[$name]}" || wrong+=("$name has ended")
    done
    note_resumes
    all_claims_end
    told=$(psql_judge -f "$invariants") || failed "$1: the invariants cannot be read"
    [[ -z $told ]] || wrong+=("broken invariants: $told")
    told=$(judgement) || failed "$1: the judgement cannot be read"
    wrong+=("$(sed '/^figures|/d' <<<"$told")")
    wrong+=("$(logged_tokens)")
    all_wrong=$(printf '%s\n' "${wrong[@]}" | sed '/^$/d')
    [[ -z $all_wrong ]] || failed "$1: ${all_wrong//$'\n'/; }"
    passed "$1: $(sum granted) grants, $(sum reported) dones, $(sum abandoned) abandoned, $(sum lost) lost;" \
        "$(sed -n 's/^figures|//p' <<<"$told"); recovered after $(join "${recoveries[@]:-nothing to recover from}")"
}

# Lets a load finish what it began; fails if it saw anything that must not be.
end_load() {
    local pid=${pids[$1]} status=0
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" || status=$?
    unset "pids[$1]"
    cat "$rehearsal/$1.json" >&2
    return "$status"
}

# psql on the database as it is in the end.
psql_judge() {
    in_host "$primary" psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${ports[$primary]}" -U postgres -d claims "$@"
}

# Neither ended nor stopped.
is_running() {
    local state
    state=$(ps -o stat= -p "$1") && [[ $state != [ZT]* ]]
}

# Waits until no claim lives: those that were abandoned last end one lease after the load, or one outage
# grace. A lease that runs for longer than it may is not waited for.
all_claims_end() {
    local deadline=$((SECONDS + (outage_grace_ms + reap_grace_ms) / 1000 + 30))
    until (($(sql "$primary" "SELECT count(*) FROM claim_leases") == 0)); do
        (($(sql "$primary" "SELECT count(*) FROM claim_leases
            WHERE lease_expires_at > clock_timestamp() + lease_ttl_ms * interval '1 millisecond'") == 0)) || break
        ((SECONDS < deadline)) || break
        sleep 0.2
    done
}

# Every row of judge.sql, as "what|where".
judgement() {
    local at name
    {
        echo "SET client_min_messages = warning;"
        echo "CREATE TEMP TABLE answered (kind text, entity text COLLATE \"C\", fence bigint, asked bigint,"
        echo "    answered bigint, consumer text COLLATE \"C\", epoch bigint, at_ms bigint);"
        echo "CREATE TEMP TABLE windows (begins timestamptz, ends timestamptz);"
        echo "CREATE TEMP TABLE silences (begins timestamptz, ends timestamptz);"
        echo "CREATE TEMP TABLE resumes (at timestamptz);"
        echo "CREATE TEMP TABLE waits (since bigint, within bigint);"
        echo "COPY answered FROM STDIN (DELIMITER ' ');"
        for name in "${loads[@]}"; do
            # A load that was killed may have left half a line.
            awk 'NF == 8' "$rehearsal/$name.writes"
        done
        echo "\\."
        for at in ${windows[@]+"${windows[@]}"}; do
            echo "INSERT INTO windows VALUES (to_timestamp(${at% *} / 1000.0), to_timestamp(${at#* } / 1000.0));"
        done
        for at in ${silences[@]+"${silences[@]}"}; do
            echo "INSERT INTO silences VALUES (to_timestamp(${at% *} / 1000.0), to_timestamp(${at#* } / 1000.0));"
        done
        for at in ${resumes[@]+"${resumes[@]}"}; do
            echo "INSERT INTO resumes VALUES ('$at');"
        done
        for at in ${waits[@]+"${waits[@]}"}; do
            echo "INSERT INTO waits VALUES (${at% *}, ${at#* });"
        done
        cat scripts/lib/faults/judge.sql
    } | psql_judge -v grace_ms="$outage_grace_ms" -v reap_grace_ms="$reap_grace_ms" \
        -v bound_ms=$((reaper_interval_ms + pass_ms * slack)) -v is_pruned="$is_pruned" \
        -v clock_was_set="$clock_was_set"
}

# Names the logs in which a write token occurs (I12).
logged_tokens() {
    local found name
    for name in "${loads[@]}"; do
        [[ -s $rehearsal/$name.record ]] || continue
        grep -o '"token":"[^"]*"' "$rehearsal/$name.record" | cut -d '"' -f 4 >"$rehearsal/tokens"
        found=$(grep -l -F -f "$rehearsal/tokens" "$rehearsal"/*.log) || continue
        printf 'a write token is in %s\n' "${found//$'\n'/, }"
    done
}

# The sum of a figure over all loads that told it.
sum() {
    local total=0 name
    for name in "${loads[@]}"; do
        total=$((total + $(saw "$name" "$1" || true) + 0))
    done
    printf '%s\n' "$total"
}

join() {
    local all
    all=$(printf '%s, ' "$@")
    printf '%s\n' "${all%, }"
}
