# shellcheck shell=bash
# Sourced by the rehearsals (test-failover, test-restore, test-pgbouncer, test-upgrade, test-faults): private Postgres clusters that
# replicate, servers and reapers as real programs, and a load that remembers every answer (the client's example `witness`).
# Everything listens on loopback at ports that are free, lies in one folder, and ends with the script; unless `hosts`
# gives a program a host of its own.

# Where everything of this rehearsal lies; closed to other accounts but Postgres's.
rehearsal=$(mktemp -d "${TMPDIR:-/var/tmp}/claims-rehearsal.XXXXXX")
chmod 711 "$rehearsal"
# Longest wait for anything, in seconds.
patience=60
# What was checked so far, for the summary; and whether that was all, which the last line of every script says.
results=()
completed=
# By name.
declare -A ports pids addresses
# By name, words in front of a program's own: to run it by another clock, say.
# shellcheck disable=SC2034
declare -A in_front
# By name, for a program on a host of its own: the words that bring a command there, and the address by which other hosts
# reach it. Without, it runs on this machine and listens on loopback.
# shellcheck disable=SC2034
declare -A hosts host_addresses
# Commands that undo what the rehearsal did to the machine; the last one first.
undoings=()

say() { printf '== %s\n' "$*" >&2; }

passed() {
    results+=("ok    $*")
    say "ok: $*"
}

# Ends the script, with what went wrong.
failed() {
    results+=("FAIL  $*")
    say "FAILED: $*"
    exit 1
}

# at_end COMMAND: to be done before the end of the script, however it ends.
at_end() { undoings+=("$1"); }

# Ends what runs under a name, and undoes what was done to the machine.
end_everything() {
    local name i
    for name in "${!pids[@]}"; do
        kill -9 "${pids[$name]}" 2>/dev/null || true
    done
    for name in "${!ports[@]}"; do
        kill_cluster "$name" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    for ((i = ${#undoings[@]} - 1; i >= 0; i--)); do
        eval "${undoings[i]}" || say "not undone: ${undoings[i]}"
    done
    undoings=()
}

# Ends what was started here, by its id, and tells what was checked.
clean_up() {
    local status=$?
    [[ -n $completed ]] || status=$((status == 0 ? 1 : status))
    end_everything
    if ((status != 0)) && [[ -n ${KEEP_REHEARSAL:-} ]]; then
        say "kept: $rehearsal"
    else
        rm -rf "$rehearsal"
    fi
    printf '\n%s\n' "${0##*/}"
    if ((${#results[@]})); then
        printf '%s\n' "${results[@]}"
    fi
    if ((status == 0)); then echo "passed"; else echo "FAILED"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

now_ms() { date +%s%3N; }

# Repeats a command until it succeeds.
eventually() {
    local what=$1 deadline=$((SECONDS + patience))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || failed "never happened: $what"
        sleep 0.1
    done
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); do
        # Nobody answers there.
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
}

# in_host NAME COMMAND…: on the host of that program.
in_host() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    ${hosts[$name]:-} "$@"
}

# host_of NAME: its address.
host_of() { printf '%s\n' "${host_addresses[$1]:-127.0.0.1}"; }

# Programs of Postgres refuse to run as root. On the host of `on_host`, if the caller has set it.
as_postgres() {
    if ((EUID == 0)); then
        (cd / && in_host "${on_host:-here}" runuser -u postgres -- "$@")
    else
        in_host "${on_host:-here}" "$@"
    fi
}

# pg PROGRAM ARGUMENTS…
pg() {
    local program=$1
    shift
    as_postgres "$postgres_programs/$program" "$@"
}

# sql CLUSTER STATEMENT [DATABASE]: one value or table, without decoration.
sql() {
    PGCONNECT_TIMEOUT=3 in_host "$1" psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${ports[$1]}" -U postgres \
        -d "${3:-claims}" -c "$2"
}

# cluster NAME: makes and starts one that can have a standby and whose log of changes is kept.
cluster() {
    local name=$1
    ports[$name]=$(free_port)
    mkdir -p "$rehearsal/archive"
    if ((EUID == 0)); then chown postgres "$rehearsal" "$rehearsal/archive"; fi
    pg initdb -D "$rehearsal/$name" -A trust -U postgres --locale=C -E UTF8 -k >/dev/null
    as_postgres tee -a "$rehearsal/$name/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = replica
hot_standby = on
max_connections = 100
shared_buffers = 64MB
archive_mode = on
archive_command = 'test ! -f $rehearsal/archive/%f && cp %p $rehearsal/archive/%f'
port = ${ports[$name]}
cluster_name = '$name'
CONF
    if [[ -n ${host_addresses[$name]:-} ]]; then open_to_hosts "$name"; fi
    start_cluster "$name"
}

# A cluster on a host of its own is reached from others.
open_to_hosts() {
    as_postgres tee -a "$rehearsal/$1/postgresql.conf" >/dev/null <<<"listen_addresses = '*'"
    as_postgres tee -a "$rehearsal/$1/pg_hba.conf" >/dev/null <<'CONF'
host all all all trust
host replication all all trust
CONF
}

start_cluster() {
    local on_host=$1
    # shellcheck disable=SC2086
    as_postgres ${in_front[$1]:-} "$postgres_programs/pg_ctl" -D "$rehearsal/$1" -l "$rehearsal/$1.log" -w -t "$patience" start >/dev/null ||
        { tail -n 20 "$rehearsal/$1.log" >&2 && failed "cluster $1 does not start"; }
}

# copy_of CLUSTER NAME [pg_basebackup's arguments]: a copy under a name and port of its own; not started.
copy_of() {
    local from=$1 name=$2 on_host=$2
    shift 2
    ports[$name]=${ports[$name]:-$(free_port)}
    pg pg_basebackup -h "$(host_of "$from")" -p "${ports[$from]}" -U postgres -D "$rehearsal/$name" -X stream -c fast "$@"
    as_postgres tee -a "$rehearsal/$name/postgresql.conf" >/dev/null <<CONF
port = ${ports[$name]}
cluster_name = '$name'
CONF
    # Whoever is promoted has no standby of its own yet.
    as_postgres sed -i '/synchronous_standby_names/d' "$rehearsal/$name/postgresql.auto.conf"
}

# synchronous_standby PRIMARY NAME: every acknowledged commit of the primary is on its disk too.
synchronous_standby() {
    copy_of "$1" "$2" -R -C -S "slot_$2_$RANDOM"
    start_cluster "$2"
    sql "$1" "ALTER SYSTEM SET synchronous_standby_names = '*'" postgres
    sql "$1" "SELECT pg_reload_conf()" postgres >/dev/null
    eventually "$2 is the synchronous standby of $1" is_synchronous "$1" "$2"
}

is_synchronous() {
    [[ $(sql "$1" "SELECT sync_state FROM pg_stat_replication WHERE application_name = '$2'" postgres) == sync ]]
}

# kill_cluster NAME: SIGKILL to all of its processes, as if its machine had lost its power.
kill_cluster() {
    local pid children
    pid=$(head -n 1 "$rehearsal/$1/postmaster.pid") || return 0
    children=$(ps -o pid= --ppid "$pid" || true)
    # shellcheck disable=SC2086
    kill -9 "$pid" $children 2>/dev/null || true
    # Nobody else does away with it, and it would keep the port's file from the next start.
    rm -f "$rehearsal/$1/postmaster.pid"
}

# url DATABASE CLUSTER…: for programs that find the one that takes writes by themselves.
url() {
    local database=$1 all='' name
    shift
    for name in "$@"; do
        all+="${all:+,}$(host_of "$name"):${ports[$name]}"
    done
    printf 'postgres://postgres@%s/%s?target_session_attrs=read-write&sslmode=disable\n' "$all" "$database"
}

# start_server NAME URL [PROGRAMS]: starts one at its old address, or at a free one, and waits for its ready line.
start_server() {
    local name=$1 url=$2 programs=${3:-$programs} listen=${addresses[$1]:-$(host_of "$1"):$(free_port)}
    local probes=${addresses[$1/probes]:-127.0.0.1:$(free_port)}
    : >"$rehearsal/$name.ready"
    # shellcheck disable=SC2086
    ${hosts[$name]:-} env -u DATABASE_URL_FILE DATABASE_URL="$url" CLAIM_LISTEN="$listen" CLAIM_METRICS_LISTEN="$probes" \
        CLAIM_LOG_FORMAT=text ${in_front[$name]:-} "$programs/claim-server" serve >"$rehearsal/$name.ready" 2>>"$rehearsal/$name.log" &
    pids[$name]=$!
    addresses[$name]=$listen
    addresses[$name/probes]=$probes
    eventually "$name listens" grep -q listening "$rehearsal/$name.ready"
}

is_ready() { in_host "$1" env CLAIM_METRICS_LISTEN="${addresses[$1/probes]}" "$programs/claim-server" health; }

start_reaper() {
    local name=$1 url=$2 programs=${3:-$programs}
    # shellcheck disable=SC2086
    ${hosts[$name]:-} env -u DATABASE_URL_FILE DATABASE_URL="$url" CLAIM_METRICS_LISTEN="127.0.0.1:$(free_port)" \
        CLAIM_REAPER_INTERVAL=1s CLAIM_LOG_FORMAT=text ${in_front[$name]:-} "$programs/claim-reaper" 2>>"$rehearsal/$name.log" &
    pids[$name]=$!
}

# stop NAME [SIGNAL]: waits for the end; its exit code.
stop() {
    local pid=${pids[$1]} status=0
    kill -s "${2:-TERM}" "$pid"
    # Without the shell's word about a program that was killed.
    wait "$pid" 2>/dev/null || status=$?
    unset "pids[$1]"
    return "$status"
}

# start_witness NAME ADDRESSES ARGUMENTS…: the load, in the background.
start_witness() {
    local name=$1 servers=$2
    shift 2
    # shellcheck disable=SC2086
    ${hosts[$name]:-} ${in_front[$name]:-} "$programs/examples/witness" --address "$servers" "$@" >"$rehearsal/$name.json" 2>>"$rehearsal/$name.log" &
    pids[$name]=$!
}

# Waits for the end of a load; shows what it saw and fails with it.
finish_witness() {
    local pid=${pids[$1]} status=0
    wait "$pid" || status=$?
    unset "pids[$1]"
    cat "$rehearsal/$1.json" >&2
    ((status == 0)) || { tail -n 5 "$rehearsal/$1.log" >&2 && failed "$2: $(saw "$1" violations) $(saw "$1" last_failure)"; }
}

# saw NAME KEY: a value of a load's summary.
saw() { sed -n "s/.*\"$2\":\(\[[^]]*\]\|[^,}]*\).*/\1/p" "$rehearsal/$1.json"; }

# The invariants of the whole database, as the tests of the store check them.
invariants=services/claims/src/testing/invariants.sql
check_invariants() {
    local broken
    broken=$(in_host "$1" psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${ports[$1]}" -U postgres -d claims \
        -f "$invariants") || failed "the invariants cannot be read"
    [[ -z $broken ]] || failed "broken invariants: $broken"
}

# Sets `programs` and `postgres_programs`. CLAIM_PROGRAMS names a folder with programs that were built before.
prepare() {
    # shellcheck source=scripts/lib/install-postgres.sh
    source scripts/lib/install-postgres.sh
    ensure_postgres
    postgres_programs=$(find_postgres)
    PATH=$postgres_programs:$PATH
    programs=${CLAIM_PROGRAMS:-}
    if [[ -z $programs ]]; then
        cargo build --quiet --bin claim-server --bin claim-reaper
        cargo build --quiet -p claim-client --example witness
        programs=$(cargo metadata --no-deps --format-version 1 |
            sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug
    fi
}
