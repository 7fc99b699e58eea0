# shellcheck shell=bash
# shellcheck disable=SC2154  # engine is the folder that scripts/test-containers names
# Sourced by scripts/test-containers: a Docker engine of its own, which shares nothing with one that the machine may
# have. It runs in a network namespace of its own, so that its bridges and firewall rules stay there, keeps its data
# under $engine, and ends with the script. The namespace has no way out: nothing can be pulled.

# Installs what an engine needs; fails where it cannot be had.
install_engine() {
    if command -v dockerd >/dev/null && command -v debootstrap >/dev/null && docker_plugins; then
        return
    fi
    command -v apt-get >/dev/null || return 1
    echo "== installing a Docker engine, compose and debootstrap"
    # A service that the package would start is not ours to have.
    local policy=/usr/sbin/policy-rc.d made_policy=''
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made_policy=yes
    fi
    local status=0
    { apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 \
        --no-install-recommends docker.io debootstrap iptables </dev/null >/dev/null; } || status=$?
    if [[ -n $made_policy ]]; then rm -f "$policy"; fi
    ((status == 0)) && docker_plugins
}

# Compose and buildx as plug-ins of this script's own client. Debian 12 has none that is new enough, but those of the
# next release run on it.
docker_plugins() {
    local plugins=$DOCKER_CONFIG/cli-plugins next=$engine/next-release unpacked
    if docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
        return
    fi
    command -v apt-get >/dev/null || return 1
    mkdir -p "$plugins" "$next"
    (
        cd "$next" || exit
        apt_of_release trixie "$next" update --quiet=2
        apt_of_release trixie "$next" download --quiet=2 docker-compose docker-buildx
        for unpacked in ./*.deb; do dpkg-deb --extract "$unpacked" files; done
    ) 2>&1 | { grep -v '^W: Download is performed unsandboxed' || true; }
    find "$next/files" -path '*/cli-plugins/docker-*' -type f -exec cp {} "$plugins" \;
    rm -rf "$next"
    docker compose version && docker buildx version
}

# apt_of_release RELEASE FOLDER ARGUMENTS…: apt-get with this release's packages, from where this machine has its own,
# and with lists and cache of its own in the folder.
apt_of_release() {
    local release=$1 folder=$2 codename source
    shift 2
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    mkdir -p "$folder"/{sources,lists/partial,cache/archives/partial}
    for source in /etc/apt/sources.list /etc/apt/sources.list.d/debian*; do
        if [[ -s $source ]]; then
            sed "s/\b$codename\b/$release/g" "$source" >"$folder/sources/${source##*/}"
        fi
    done
    apt-get -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$folder/sources" \
        -o Dir::State::Lists="$folder/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$folder/cache" "$@"
}

# Runs a command where the containers' published ports are.
inside() {
    nsenter --net="/run/netns/$namespace" "$@"
}

# Starts the engine; sets `namespace` and `engine_pid`. Fails if it does not answer within a minute.
start_engine() {
    namespace=claims-$$
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    # The socket's path may have 107 bytes, so it does not stand under a folder of anybody's choosing.
    run=$(mktemp -d /tmp/claims-engine.XXXXXX)
    export DOCKER_HOST=unix://$run/docker.sock
    cat >"$run/daemon.json" <<JSON
{
  "hosts": ["$DOCKER_HOST"], "pidfile": "$run/docker.pid",
  "data-root": "$engine/data", "exec-root": "$run/exec",
  "default-address-pools": [{"base": "10.213.0.0/16", "size": 24}],
  "log-driver": "json-file"
}
JSON
    # Not `ip netns exec`: that hides the control groups. And not `inside`: a function in the background is a shell, which
    # would be ended in place of the engine.
    nsenter --net="/run/netns/$namespace" dockerd --config-file "$run/daemon.json" >"$engine/dockerd.log" 2>&1 &
    engine_pid=$!
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        if docker info >/dev/null 2>&1; then return; fi
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$engine/dockerd.log" >&2
    return 1
}

# Ends what start_engine began.
stop_engine() {
    if [[ -n ${engine_pid:-} ]]; then
        kill "$engine_pid" 2>/dev/null || true
        wait "$engine_pid" 2>/dev/null || true
    fi
    # The engine mounts its folder upon itself, and leaves that.
    while mountpoint --quiet "$engine/data"; do umount "$engine/data" || break; done
    if [[ -n ${namespace:-} ]]; then ip netns delete "$namespace" 2>/dev/null || true; fi
    if [[ -n ${run:-} ]]; then rm -rf "$run"; fi
}
