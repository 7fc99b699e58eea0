# shellcheck shell=bash
# Sourced by faults that somebody has to get through without waiting: how long a load was granted and reported nothing,
# by the monotonic clock, which no fault sets.
# shellcheck disable=SC2154  # scene.sh and rehearsal.sh set what is not set here

# By load, how many lines its log had.
declare -A lines_before

# from_here LOAD…: what comes from here on counts.
from_here() {
    local name
    for name in "$@"; do
        # The line before is what the first silence began with.
        lines_before["$name"]=$(wc -l <"$rehearsal/$name.writes")
    done
}

# longest_silence LOAD: in milliseconds.
longest_silence() {
    tail -n "+${lines_before[$1]}" "$rehearsal/$1.writes" |
        awk 'NF == 8 && ($1 == "grant" || $1 == "done") {
                if (last && $5 - last > longest) longest = $5 - last
                if ($5 > last) last = $5
            }
            END { print int(longest / 1000) }'
}

# is_never_silent LOAD MS
is_never_silent() {
    local silence within=$(($2 * slack))
    silence=$(longest_silence "$1")
    ((silence <= within)) || failed "$1 was granted and reported nothing for $silence ms, and not only $within ms"
    say "$1 waited for $silence ms at most, of $within ms"
}
