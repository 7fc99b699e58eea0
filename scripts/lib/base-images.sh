# shellcheck shell=bash
# shellcheck disable=SC2154  # engine is the folder that scripts/test-containers names
# Sourced by scripts/test-containers: the images that Dockerfile and docker-compose.yml name, made from Debian's packages
# where none can be pulled. Each bears the name and the layout of the one it stands for, so that the shipped files are
# used as they are; what they stand for is told in the summary, because it is not what users get.

# base_images: makes those that the engine does not have yet.
base_images() {
    base_image "$(from_line build)" rust_root \
        'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV CARGO_HOME=/usr/local/cargo'
    base_image "$(from_line runtime)" distroless_root
    base_image "$(compose_image postgres)" postgres_root \
        'ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV PGDATA=/var/lib/postgresql/data' 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'
    base_image "$(compose_image prom/prometheus)" prometheus_root \
        'USER 65534' 'WORKDIR /prometheus' 'ENTRYPOINT ["/bin/prometheus"]' \
        'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
}

# The image that a stage of the Dockerfile begins from.
from_line() {
    local version
    version=$(sed -n 's/^ARG RUST_VERSION=//p' Dockerfile)
    sed -n "s/^FROM \(.*\) AS $1\$/\1/p" Dockerfile | sed "s/\${RUST_VERSION}/$version/"
}

# The image with this name, as docker-compose.yml names it with its tag.
compose_image() {
    sed -n "s|^ *image: \($1:.*\)|\1|p" docker-compose.yml | sort -u
}

# A stand-in lasts for as long as what it is made by, and the builder's, which holds the crates, as long as those.
digest() {
    {
        declare -f "$1" unpack account
        if [[ $1 == rust_root ]]; then grep '^checksum' Cargo.lock; fi
    } | sha256sum | cut -c 1-16
}

# base_image NAME FUNCTION CHANGES…: imports the root that the function fills.
base_image() {
    local name=$1 fill=$2 root=$engine/root began=$SECONDS label change changes=()
    shift 2
    label=stands-in=$fill-$(digest "$fill")
    if [[ -n $(docker image ls --quiet --filter label="$label" "$name") ]]; then
        return
    fi
    rm -rf "$root"
    mkdir -p "$root"
    # In a process of its own: in a condition, the first failure in it would be passed over.
    "$fill" "$root" >"$engine/$fill.log" 2>&1 &
    wait "$!" || { tail -n 20 "$engine/$fill.log" >&2; return 1; }
    for change in "LABEL $label" "$@"; do changes+=(--change "$change"); done
    tar --create --numeric-owner --directory "$root" . | docker import "${changes[@]}" - "$name" >/dev/null
    rm -rf "$root"
    printf 'made %s, %d s\n' "$name" "$((SECONDS - began))"
}

# A C compiler, this machine's Rust in the places of the official image, and every crate of Cargo.lock.
rust_root() {
    debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates bookworm "$1"
    rm -rf "$1"/var/cache/apt/archives/*.deb
    mkdir -p "$1"/usr/local/{cargo/bin,rust}
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$1/usr/local/rust/"
    local program
    for program in cargo rustc; do ln -s "../../rust/bin/$program" "$1/usr/local/cargo/bin/$program"; done
    cargo vendor --locked --versioned-dirs "$1/usr/local/cargo/crates" |
        sed "s|\"$1/|\"/|" >"$1/usr/local/cargo/config.toml"
}

# As the original is made: packages unpacked, without a shell or a package manager.
distroless_root() {
    unpack "$1" base-files netbase tzdata libc6 libgcc-s1 ca-certificates
    account "$1" nonroot 65532
    cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
}

# Version 17 is the next release's. The entry point does what the official one does for the few variables that are
# used here.
postgres_root() {
    debootstrap --variant=minbase --include=postgresql-17 trixie "$1"
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/postgresql/17 "$1"/etc/postgresql/17
    install -d -o 0 -g 0 "$1/usr/local/bin"
    cat >"$1/usr/local/bin/entrypoint" <<'SCRIPT'
#!/bin/bash
set -euo pipefail
if [[ $(id -u) == 0 ]]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    install -d -o postgres -g postgres -m 2775 /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    initdb --encoding=UTF8 --locale=C.UTF-8 --auth-host=scram-sha-256 --auth-local=trust \
        --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --wait stop
fi
exec postgres -c listen_addresses='*'
SCRIPT
    chmod 755 "$1/usr/local/bin/entrypoint"
}

prometheus_root() {
    unpack "$1" base-files netbase libc6 prometheus
    account "$1" nobody 65534
    install -d -o 65534 -g 65534 "$1/prometheus"
    rm -rf "$1/etc/prometheus"
    mkdir -p "$1"/{bin,etc/prometheus}
    ln -s ../usr/bin/prometheus ../usr/bin/promtool "$1/bin/"
}

# unpack ROOT PACKAGES…: their files, of the release that the originals are made of, without their scripts.
unpack() {
    local root=$1 folder=$engine/packages package
    shift
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        cd "$folder" || exit
        apt_of_release bookworm "$folder" update --quiet=2
        apt_of_release bookworm "$folder" download --quiet=2 "$@"
    )
    for package in "$folder"/*.deb; do dpkg-deb --extract "$package" "$root"; done
    rm -rf "$folder"
    install -d -m 1777 "$root/tmp"
}

# account ROOT NAME NUMBER: the only one beside root.
account() {
    printf 'root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/home/%s:/sbin/nologin\n' "$2" "$3" "$3" "$2" >"$1/etc/passwd"
    printf 'root:x:0:\n%s:x:%d:\n' "$2" "$3" >"$1/etc/group"
}
