# shellcheck shell=bash
# Sourced by database.sh: what can become of the database's disk. A disk is an ext4 file system in a file, which only Postgres
# uses; syncs that fail or are slow are made by strace, which attaches to Postgres's processes.
# shellcheck disable=SC2034,SC2154,SC2329  # scene.sh and rehearsal.sh set what is not set here; called by their names

# disk NAME MEGABYTES FOLDER: mounts a new one there, for Postgres.
disk() {
    mkdir -p "$3"
    truncate -s "$2M" "$rehearsal/$1.disk"
    mkfs.ext4 -q -m 0 "$rehearsal/$1.disk"
    mount_disk "$1" "$3"
    rmdir "$3/lost+found"
    chown postgres "$3"
    at_end "unmount_disk $3"
}

mount_disk() { mount -o loop,errors=remount-ro "$rehearsal/$1.disk" "$2"; }

# A supervisor that was killed may have left one that was just starting.
unmount_disk() {
    local deadline=$((SECONDS + patience))
    while mountpoint -q "$1" && ! umount "$1" 2>/dev/null && ((SECONDS < deadline)); do
        kill_cluster a
        sleep 0.1
    done
    ! mountpoint -q "$1"
}

# fill FOLDER: leaves no room on its disk; `rm FOLDER/ballast` gives it back.
fill() {
    as_postgres dd if=/dev/zero of="$1/ballast" bs=64k status=none 2>/dev/null || true
    as_postgres dd if=/dev/zero of="$1/ballast" bs=512 status=none oflag=append conv=notrunc 2>/dev/null || true
}

# with_log_at CLUSTER FOLDER: moves its log of changes.
with_log_at() {
    pg pg_ctl -D "$rehearsal/$1" -w -t "$patience" -m fast stop >/dev/null
    as_postgres cp -a "$rehearsal/$1/pg_wal/." "$2"
    as_postgres rm -r "$rehearsal/$1/pg_wal"
    as_postgres ln -s "$2" "$rehearsal/$1/pg_wal"
    start_cluster "$1"
}

# processes CLUSTER [PATTERN]: the ids of its children whose title matches.
processes() {
    ps -o pid=,cmd= --ppid "$(head -n 1 "$rehearsal/$1/postmaster.pid")" | awk -v title="${2:-.}" '$0 ~ title { print $1 }'
}

# inject INJECTION PROCESS…: something happens to the system calls of these and their children, until `stop strace`.
inject() {
    local injection=$1 process
    shift
    command -v strace >/dev/null || install_packages strace
    strace -f -qq -o /dev/null -e trace="${injection%%:*}" -e inject="$injection" "${@/#/-p}" 2>>"$rehearsal/strace.log" &
    pids[strace]=$!
    for process; do
        eventually "strace is attached to $process" is_traced "$process"
    done
}

is_traced() { [[ ! -e /proc/$1 ]] || grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$1/status"; }

# panics CLUSTER PATTERN: waits until it did, for that reason, and ended all of its processes.
panics() {
    eventually "Postgres panics" has_logged "$1" "PANIC:.*$2"
    eventually "Postgres ends all sessions" has_logged "$1" 'all server processes terminated; reinitializing'
}

fault log_disk_is_full "no room for Postgres's log of changes: it panics, and starts again and again until there is"
scene_log_disk_is_full() {
    scene_database "max_wal_size = 64MB
min_wal_size = 32MB"
    disk wal 160 "$rehearsal/a-wal"
    with_log_at a "$rehearsal/a-wal"
    scene_under_load
    supervise a
}
fault_log_disk_is_full() {
    begins
    fill "$rehearsal/a-wal"
    eventually "Postgres panics" panics_for_room a
    sleep "$long"
    (($(grep -c 'does not start' "$rehearsal/supervisor.log") > 0)) || failed "Postgres starts without room for its log"
    rm "$rehearsal/a-wal/ballast"
    is_back a
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}

# Files that are there already are filled before it needs a new one.
panics_for_room() {
    sql "$1" "SELECT pg_switch_wal()" postgres || true
    has_logged "$1" 'PANIC:.*No space left on device'
}

fault data_disk_is_full "no room for Postgres's tables: first statements fail, then a checkpoint panics"
scene_data_disk_is_full() {
    disk data 400 "$rehearsal/a"
    scene_database
    install -d -o postgres "$rehearsal/a-wal"
    with_log_at a "$rehearsal/a-wal"
    scene_under_load
    supervise a
}
fault_data_disk_is_full() {
    begins
    # In a session that is there already: there may be no room for a new one either.
    sql a "SELECT pg_sleep($long); CHECKPOINT" >/dev/null &
    pids[checkpoint]=$!
    eventually "the checkpoint will come" sleeps a
    fill "$rehearsal/a"
    eventually "statements fail" has_logged a 'ERROR:.*(could not extend file|could not write).*No space left on device'
    panics a 'No space left on device'
    stop checkpoint || true
    sleep 5
    was_answered one
    rm "$rehearsal/a/ballast"
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault log_sync_fails "fdatasync of Postgres's log of changes fails (EIO), for which it panics and recovers"
fault_log_sync_fails() {
    begins
    # Those that it starts afterwards are spared: the disk was replaced, as it were.
    # shellcheck disable=SC2046
    inject fsync,fdatasync:error=EIO $(processes a)
    panics a 'could not (fsync|fdatasync).*Input/output error'
    stop strace || true
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault data_sync_fails "fsync of a table fails in a checkpoint (EIO), for which Postgres panics and recovers"
fault_data_sync_fails() {
    begins
    # shellcheck disable=SC2046
    inject fsync,fdatasync:error=EIO $(processes a checkpointer)
    sql a "CHECKPOINT" postgres || true
    panics a 'could not fsync.*Input/output error'
    stop strace || true
    is_back a
    heals
    recovers "$back_within"
    goes_on
}

fault disk_is_slow "every write and sync of Postgres takes 300 ms longer, with a checkpoint among them"
fault_disk_is_slow() {
    local before began
    begins
    # shellcheck disable=SC2046
    inject fsync,fdatasync,pwrite64:delay_enter=300000 "$(head -n 1 "$rehearsal/a/postmaster.pid")" $(processes a)
    before=$(grants_in a)
    sql a "CHECKPOINT" postgres &
    pids[checkpoint]=$!
    began=$(now_ms)
    sql a "SELECT pg_logical_emit_message(true, 'slow', '')" >/dev/null
    (($(now_ms) - began >= 300)) || failed "a commit takes $(($(now_ms) - began)) ms only"
    sleep "$long"
    has_logged a 'checkpoint starting' || failed "there was no checkpoint"
    (($(grants_in a) > before)) || failed "nothing is granted on a slow disk"
    stop strace || true
    stop checkpoint || true
    heals
    recovers "$back_within"
    goes_on
}

fault disk_hangs "every sync of Postgres takes 4 s, longer than a server waits, so that the end of commits is unknown"
fault_disk_hangs() {
    begins
    # shellcheck disable=SC2046
    inject fsync,fdatasync:delay_enter=4000000 "$(head -n 1 "$rehearsal/a/postmaster.pid")" $(processes a)
    sleep "$long"
    grep -q 'a transaction of decisions failed.*did not answer in time' "$rehearsal/one.log" "$rehearsal/two.log" ||
        failed "the servers saw the end of every commit"
    was_answered one
    stop strace || true
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}

fault disk_is_read_only "the file system takes an error and becomes read-only; checked, it is mounted again"
scene_disk_is_read_only() {
    disk data 400 "$rehearsal/a"
    scene_database
    # What is in memory only is lost, and nobody synced the lines that were added to its settings.
    sync -f "$rehearsal/a"
    scene_under_load
    supervise a
}
fault_disk_is_read_only() {
    begins
    mount -o remount,abort "$rehearsal/a"
    eventually "Postgres notices" has_logged a '(PANIC|FATAL|ERROR):.*(Read-only file system|Input/output error)'
    sleep "$long"
    eventually "nobody uses the disk" umount "$rehearsal/a"
    e2fsck -fp "$rehearsal/data.disk" >&2 || (($? < 4))
    mount_disk data "$rehearsal/a"
    rmdir "$rehearsal/a/lost+found"
    is_back a
    heals
    recovers "$back_within"
    was_noticed a
    goes_on
}
