# shellcheck shell=bash
# Sourced by scripts/test-pgbouncer: a PgBouncer that keeps prepared statements in transaction mode (1.21 or newer). Where the
# system has an older one or none, it is built from Debian's source package, whose signature apt checks.

readonly pgbouncer_folder=target/pgbouncer

# Prints the path of the program; fails if there is none that is new enough.
find_pgbouncer() {
    local program
    for program in "${PGBOUNCER:-}" "$PWD/$pgbouncer_folder/pgbouncer" "$(command -v pgbouncer || true)" /usr/sbin/pgbouncer; do
        if [[ -x $program ]] && keeps_prepared_statements "$program"; then
            printf '%s\n' "$program"
            return
        fi
    done
    return 1
}

keeps_prepared_statements() {
    [[ $("$1" --version) =~ PgBouncer\ ([0-9]+)\.([0-9]+) ]] &&
        ((BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 21))
}

ensure_pgbouncer() {
    if find_pgbouncer >/dev/null; then
        return
    fi
    if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
        echo "PgBouncer 1.21 or newer is missing: install it, or name the program in PGBOUNCER" >&2
        exit "${exit_unavailable:?}"
    fi
    echo "== building PgBouncer" >&2
    build_pgbouncer >&2
}

build_pgbouncer() {
    local folder=$PWD/$pgbouncer_folder mirror
    # Where this machine has its own packages from.
    # shellcheck disable=SC2016  # apt expands it
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | awk '/\/debian\/*$/ && !found++')
    # The next Debian release has it, in an apt root of its own, so that nothing else comes from there.
    local apt=(apt-get -o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User=root)
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        build-essential libevent-dev libssl-dev pkg-config </dev/null ||
        { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends build-essential libevent-dev libssl-dev pkg-config </dev/null; }
    rm -rf "$folder"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/source"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
        >"$folder/apt/sources.list"
    "${apt[@]}" update
    (cd "$folder/source" && "${apt[@]}" source --download-only pgbouncer &&
        tar -xf pgbouncer_*.orig.tar.gz --strip-components=1 &&
        ./configure --without-cares --without-pam >/dev/null && make >/dev/null && cp pgbouncer ..)
    rm -rf "$folder/apt" "$folder/source"
}
