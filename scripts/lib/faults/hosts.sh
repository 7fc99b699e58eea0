# shellcheck shell=bash
# Sourced by the faults of the network: hosts of their own for the programs of a rehearsal, and what can happen between
# any two of them. Each host is a network namespace; all are joined by one more, the router, through which every packet
# goes, and in which everything is done to it. This machine's own network has no part in it. Needs root.

# shellcheck disable=SC2034,SC2154  # rehearsal.sh reads these, and sets what is not set here

# What the namespaces of this run are called, and that of the router.
net=claims-$$
router=$net-router
# Pairs whose packets are delayed: what `ip rule` was told.
late_rules=()
# Hosts behind a narrow link.
narrowed=()
# The device that delays, and the table of routes that leads to it.
late_device=late0
late_table=100

ensure_network_tools() {
    ((EUID == 0)) || failed "the faults of the network need root"
    local missing=()
    command -v ip >/dev/null && command -v tc >/dev/null || missing+=(iproute2)
    command -v iptables >/dev/null || missing+=(iptables)
    command -v python3 >/dev/null || missing+=(python3)
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# on_router COMMAND…
on_router() { nsenter --net="/run/netns/$router" "$@"; }

# network_of NAME…: these programs run on hosts of their own from now on.
network_of() {
    local name number=0
    ensure_network_tools
    at_end network_down
    ip netns add "$router"
    ip -n "$router" link set lo up
    on_router sysctl -qw net.ipv4.ip_forward=1
    for name in "$@"; do
        number=$((number + 1))
        ip netns add "$net-$name"
        ip -n "$net-$name" link set lo up
        ip -n "$router" link add "to-$name" type veth peer name eth0 netns "$net-$name"
        ip -n "$router" address add "10.0.$number.1/24" dev "to-$name"
        ip -n "$router" link set "to-$name" up
        ip -n "$net-$name" address add "10.0.$number.2/24" dev eth0
        ip -n "$net-$name" link set eth0 up
        ip -n "$net-$name" route add default via "10.0.$number.1"
        # Nobody else listens in this network.
        hosts["$name"]="nsenter --net=/run/netns/$net-$name env CLAIM_ALLOW_PLAINTEXT=true CLAIM_ALLOW_ANONYMOUS=true"
        host_addresses["$name"]=10.0.$number.2
    done
}

# Removes the hosts; whatever still runs there goes on without a network.
network_down() {
    local namespace
    if [[ -n ${pids[late]:-} ]]; then stop late KILL 2>/dev/null || true; fi
    late_rules=() hosts=() host_addresses=()
    while read -r namespace _; do
        if [[ $namespace == "$net"-* ]]; then ip netns delete "$namespace"; fi
    done < <(ip netns list)
}

# both_ways NAMES NAMES COMMAND…: calls COMMAND FROM TO for each pair and direction. NAMES may be several, in one word.
both_ways() {
    local first second ours=$1 theirs=$2
    shift 2
    for first in $ours; do
        for second in $theirs; do
            "$@" "$first" "$second"
            "$@" "$second" "$first"
        done
    done
}

# connect_ms FROM TO: how long it takes one to connect to the other, in milliseconds; fails if that is impossible.
connect_ms() {
    local began port=${ports[$2]:-${addresses[$2]##*:}}
    began=$(now_ms)
    in_host "$1" timeout 5 bash -c "exec 3<>/dev/tcp/${host_addresses[$2]}/$port" 2>/dev/null || return 1
    printf '%s\n' "$(($(now_ms) - began))"
}

# rule FROM TO RULE…: what the router does with the packets of this direction.
rule() {
    local from=$1 to=$2
    shift 2
    on_router iptables -w -A FORWARD -s "${host_addresses[$from]}" -d "${host_addresses[$to]}" "$@"
}

# Each of the following takes NAMES NAMES first, and holds until `mend`.

# cut_off: whoever sends to the other is told at once that nobody is there.
cut_off() { both_ways "$1" "$2" refuse; }
refuse() { rule "$1" "$2" -p tcp -j REJECT --reject-with tcp-reset; }

# black_hole: nothing arrives, and nobody is told.
black_hole() { both_ways "$1" "$2" lose; }
lose() { rule "$1" "$2" -j DROP; }

# one_way_lost: what the first ones send is lost, what the second ones send arrives.
one_way_lost() {
    local from to
    for from in $1; do
        for to in $2; do lose "$from" "$to"; done
    done
}

# lossy NAMES NAMES PERCENT: so many of all packets do not arrive.
lossy() {
    loss_share=$(awk -v percent="$3" 'BEGIN { print percent / 100 }')
    both_ways "$1" "$2" lose_some
}
lose_some() { rule "$1" "$2" -m statistic --mode random --probability "$loss_share" -j DROP; }

# late NAMES NAMES MILLISECONDS JITTER: each packet takes so much longer, give or take JITTER. To connect takes one there
# and one back.
late() {
    local took
    if [[ -z ${pids[late]:-} ]]; then start_delay "$3" "$4"; fi
    both_ways "$1" "$2" lead_to_delay
    took=$(connect_ms "${1%% *}" "${2%% *}") || failed "what is late does not arrive"
    ((took >= 2 * ($3 - $4))) || failed "to connect takes $took ms, with a delay of $3 ms each way"
}
# start_delay MILLISECONDS JITTER
start_delay() {
    # Not by `on_router`: the id that is noted is to be the program's own.
    nsenter --net="/run/netns/$router" python3 scripts/lib/faults/delay.py "$late_device" "$1" "$2" \
        >"$rehearsal/late.ready" 2>>"$rehearsal/late.log" &
    pids[late]=$!
    eventually "the router delays" grep -q ready "$rehearsal/late.ready"
    ip -n "$router" link set "$late_device" up
    ip -n "$router" route add default dev "$late_device" table "$late_table"
}
lead_to_delay() {
    # Those that come out of the device again are not led back to it.
    late_rules+=("from ${host_addresses[$1]} to ${host_addresses[$2]} iif to-$1 table $late_table")
    # shellcheck disable=SC2086
    ip -n "$router" rule add ${late_rules[-1]}
}

# narrow NAMES RATE: all that goes to and from these hosts goes through a link of RATE, as in `1mbit`.
narrow() {
    local name
    for name in $1; do
        narrowed+=("$name")
        tc -n "$router" qdisc add dev "to-$name" root tbf rate "$2" burst 16kb latency 400ms
        tc -n "$net-$name" qdisc add dev eth0 root tbf rate "$2" burst 16kb latency 400ms
    done
}

# Fails unless every pair that the router was to disturb felt it, in one direction at least: one whose question is lost
# says nothing, and is asked nothing.
was_felt() {
    local spared name
    spared=$(on_router iptables -w -nvxL FORWARD | awk '
        NR > 2 {
            pair = $8 < $9 ? $8 " and " $9 : $9 " and " $8
            packets[pair] += $1
        }
        END { for (pair in packets) if (packets[pair] == 0) print pair }')
    [[ -z $spared ]] || failed "nothing happened to what these sent each other: $spared"
    for name in "${narrowed[@]}"; do
        {
            tc -n "$router" -s qdisc show dev "to-$name"
            tc -n "$net-$name" -s qdisc show dev eth0
        } | grep 'overlimits [1-9]' >/dev/null || failed "nothing waits for the link of $name"
    done
}

# The network is as it was.
mend() {
    local rule name
    was_felt
    narrowed=()
    on_router iptables -w -F FORWARD
    for rule in "${late_rules[@]}"; do
        # shellcheck disable=SC2086
        ip -n "$router" rule delete $rule
    done
    late_rules=()
    if [[ -n ${pids[late]:-} ]]; then stop late KILL 2>/dev/null || true; fi
    for name in "${!host_addresses[@]}"; do
        tc -n "$router" qdisc delete dev "to-$name" root 2>/dev/null || true
        tc -n "$net-$name" qdisc delete dev eth0 root 2>/dev/null || true
    done
}
