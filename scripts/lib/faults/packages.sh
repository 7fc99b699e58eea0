# shellcheck shell=bash
# Sourced by faults that take a program which is not everywhere.

# install_packages PACKAGE…: on Debian and Ubuntu, as root; else says what is missing. One scene at a time: apt-get does
# not wait for another that reads the lists of packages.
install_packages() {
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then failed "missing: $*"; fi
    say "installing $*"
    flock /var/lib/dpkg sh -c \
        'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"' \
        apt-get "$@" </dev/null >&2 || failed "missing, and cannot be installed: $*"
}
