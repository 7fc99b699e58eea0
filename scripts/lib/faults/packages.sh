# shellcheck shell=bash
# Sourced by faults that take a program which is not everywhere.

# install_packages PACKAGE…: on Debian and Ubuntu, as root; else says what is missing.
install_packages() {
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then failed "missing: $*"; fi
    say "installing $*"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } \
        </dev/null >&2 || failed "missing, and cannot be installed: $*"
}
