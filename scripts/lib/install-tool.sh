# shellcheck shell=bash
# Sourced by scripts that need a checking program: fetches it with pip, as a released binary, into target/tools.

# A check was left out because its program could not be had. Continuous integration fails instead.
readonly exit_left_out=75

# ensure_tool TOOL PACKAGE VERSION: makes a tool that this package carries callable by its name. The version is pinned, so
# that a release of a tool cannot fail a build; it changes only together with what it then says. If the tool cannot be had,
# says so loudly and ends the script: with `exit_left_out`, or with 1 in continuous integration.
ensure_tool() {
    local tool=$1 package=$2 version=$3
    local place=$PWD/target/tools/$package-$version
    if [[ ! -x $place/bin/$tool ]] && ! fetch_tool "$place" "$package==$version"; then
        rm -rf "$place"
        leave_out "$tool"
    fi
    PATH=$place/bin:$PATH
}

fetch_tool() {
    local place=$1 requirement=$2
    echo "== fetching $requirement" >&2
    python3 -m venv "$place" >&2 &&
        "$place/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$requirement" >&2
}

leave_out() {
    if [[ -n ${CI:-} ]]; then
        echo "$1 could not be fetched, and continuous integration leaves no check out" >&2
        exit 1
    fi
    printf '%s\n' '!!' "!! NOT CHECKED: $1 could not be fetched; that takes Python 3 with venv, and a network" '!!' >&2
    exit "$exit_left_out"
}
