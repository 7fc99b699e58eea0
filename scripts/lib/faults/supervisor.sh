# shellcheck shell=bash
# Sourced by the faults of the database: what a service manager does for Postgres on a real machine.
# shellcheck disable=SC2034,SC2154  # rehearsal.sh sets what is not set here

# How long it waits until it starts one again that has ended, as systemd's RestartSec.
restart_after=2

# supervise CLUSTER: from now on it is started again whenever it has ended, as often as it takes.
supervise() {
    keep_up "$1" 2>>"$rehearsal/supervisor.log" &
    pids[supervisor]=$!
}

keep_up() {
    local name=$1 pid
    while :; do
        pid=$(head -n 1 "$rehearsal/$name/postmaster.pid" 2>/dev/null) || pid=
        while [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        sleep "$restart_after"
        # Whoever removed the folder has ended the rehearsal.
        [[ -d $rehearsal/$name ]] || return 0
        pg pg_ctl -D "$rehearsal/$name" -l "$rehearsal/$name.log" -w -t "$patience" start >/dev/null ||
            echo "$(date +%T) $name does not start" >&2
    done
}

# takes_writes CLUSTER: it does, as far as the servers can tell.
takes_writes() { [[ $(sql "$1" "SHOW transaction_read_only" postgres) == off ]]; }

# is_back CLUSTER: waits until it takes writes; for as long as it does not, nothing is the service's to mend.
is_back() { eventually "$1 takes writes" takes_writes "$1"; }
