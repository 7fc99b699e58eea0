# shellcheck shell=bash
# Sourced by scripts that need a checking program: fetches it with pip, as a released binary, into target/tools.

# A check was left out because its program could not be had. Continuous integration fails instead.
readonly exit_left_out=75

# ensure_tool TOOL: makes TOOL callable by its name, as scripts/lib/tools/TOOL.txt pins it: a release of a tool cannot fail
# a build, and its checksum keeps another one from running. Where that cannot be had, one that is installed will do. If
# there is none, says so loudly and ends the script: with `exit_left_out`, or with 1 in continuous integration.
ensure_tool() {
    local tool=$1
    local pinned=$PWD/scripts/lib/tools/$tool.txt
    local place=$PWD/target/tools/$tool
    if ! cmp -s "$pinned" "$place/pinned.txt"; then
        rm -rf "$place"
        if fetch_tool "$place" "$pinned"; then
            cp "$pinned" "$place/pinned.txt"
        else
            rm -rf "$place"
        fi
    fi
    if [[ -x $place/bin/$tool ]]; then
        PATH=$place/bin:$PATH
    elif command -v "$tool" >/dev/null; then
        echo "== $tool is the one that is installed, not the pinned one" >&2
    else
        leave_out "$tool"
    fi
}

fetch_tool() {
    local place=$1 pinned=$2
    echo "== fetching $(grep -o '^[a-z-]*==[^ ]*' "$pinned")" >&2
    python3 -m venv "$place" >&2 &&
        "$place/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
            -r "$pinned" >&2
}

leave_out() {
    if [[ -n ${CI:-} ]]; then
        echo "$1 could not be fetched, and continuous integration leaves no check out" >&2
        exit 1
    fi
    printf '%s\n' '!!' "!! NOT CHECKED: $1 could not be fetched; that takes Python 3 with venv, and a network" '!!' >&2
    exit "$exit_left_out"
}
