# shellcheck shell=bash
# Sourced after rehearsal.sh by what plays the loss of a primary or of its standby.
# shellcheck disable=SC2154  # rehearsal.sh sets what is not set here

# is_not_used CLUSTER: none of our sessions is on a standby, which shows what is old.
is_not_used() {
    [[ $(sql "$1" "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'claim-%'" postgres) == 0 ]]
}

# run_ahead CLUSTER: lets a primary run ahead of its standby for a moment, which hears nothing of it any more: whatever it
# acknowledged alone would be lost with it.
run_ahead() {
    local sender
    sender=$(ps -o pid=,cmd= --ppid "$(head -n 1 "$rehearsal/$1/postmaster.pid")" | awk '/walsender/ { print $1 }')
    kill -STOP "$sender"
    sleep 1.5
}

# promote CLUSTER: a standby takes writes from now on.
promote() { pg pg_ctl -D "$rehearsal/$1" -w promote >/dev/null; }
