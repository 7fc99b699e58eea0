# shellcheck shell=bash
# Sourced by scripts/dev and scripts/test: sees to it that there are Postgres server programs for a private cluster.
# The places and their order are those of `claims::cluster::PostgresPrograms`; keep the two alike.

readonly oldest_postgres=14
readonly postgres_versions=/usr/lib/postgresql

# The exit codes of sysexits.h: a setting is wrong; something needed is not there.
readonly exit_usage=64
readonly exit_unavailable=69

# Prints the folder of the server programs; fails if there are none that are new enough.
find_postgres() {
    local folder
    if [[ -n ${PG_BIN_DIR:-} ]]; then
        is_postgres_folder "$PG_BIN_DIR" && printf '%s\n' "$PG_BIN_DIR"
        return
    fi
    while IFS= read -r folder; do
        if is_postgres_folder "$folder"; then
            printf '%s\n' "$folder"
            return 0
        fi
    done < <(
        pg_config --bindir 2>/dev/null
        tr ':' '\n' <<<"$PATH"
        # Version numbers, not names, decide which one is the highest.
        printf '%s\n' "$postgres_versions"/*/bin | sort --reverse --version-sort
    )
    return 1
}

is_postgres_folder() {
    local release
    [[ -x $1/initdb && -x $1/postgres ]] || return 1
    release=$("$1/postgres" --version 2>/dev/null) || return 1
    [[ $release =~ \(PostgreSQL\)\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= oldest_postgres))
}

# Installs the server programs if there are none, or says in one line what to install and ends the script.
ensure_postgres() {
    if find_postgres >/dev/null; then
        return
    fi
    if [[ -n ${PG_BIN_DIR:-} ]]; then
        echo "PG_BIN_DIR is $PG_BIN_DIR, which does not hold the programs initdb and postgres of Postgres $oldest_postgres or newer" >&2
        exit "$exit_usage"
    fi
    if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
        echo "Postgres server programs (initdb, postgres), version $oldest_postgres or newer, are missing: install your system's Postgres server package, or name their folder in PG_BIN_DIR" >&2
        exit "$exit_unavailable"
    fi
    echo "== installing Postgres server programs" >&2
    install_postgres_package >&2
    if ! find_postgres >/dev/null; then
        echo "the package postgresql of this system is older than version $oldest_postgres: install a newer one, or name its folder in PG_BIN_DIR" >&2
        exit "$exit_unavailable"
    fi
}

# The package would create and start a server of its own on port 5432, now and at every boot. A drop-in file prevents that,
# where the main file is the package's and would raise a question; it goes away again, because a server that the
# owner of this machine installs some day is none of our business.
install_postgres_package() {
    local folder=/etc/postgresql-common/createcluster.d
    local drop_in=$folder/no-main-cluster-for-claim-tests.conf
    local status=0
    as_root mkdir -p "$folder"
    as_root tee "$drop_in" >/dev/null <<<'create_main_cluster = false'
    { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends postgresql </dev/null; } || status=$?
    as_root rm -f "$drop_in"
    return "$status"
}

# Runs a command as root without ever asking for a password: the scripts also run where nobody could answer.
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo -n "$@"
    fi
}
