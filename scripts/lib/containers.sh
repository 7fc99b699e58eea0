# shellcheck shell=bash
# shellcheck disable=SC2154  # engine is the folder that scripts/test-containers names
# Sourced by scripts/test-containers: what is checked of the containers. Every check is a function that fails and says why.

passed=0 failed=0
readonly first=127.0.0.1:50051 second=127.0.0.1:50052 prometheus=http://127.0.0.1:9090
# A container that was killed is started at once, and healthy after a probe or two. The engine waits a little longer each
# time that one ends soon after its start.
readonly healthy_within=90

# check NAME COMMAND…: runs a check and counts it. In a process of its own, since in a condition `set -e` would not hold.
check() {
    local name=$1 began=$SECONDS
    shift
    "$@" >"$engine/check.log" 2>&1 &
    if wait "$!"; then
        passed=$((passed + 1))
        printf 'ok      %s (%d s)\n' "$name" "$((SECONDS - began))"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        tail -n 20 "$engine/check.log" | sed 's/^/        /'
    fi
}

# must NAME COMMAND…: a check without which the others have no meaning.
must() {
    local before=$failed
    check "$@"
    if ((failed > before)); then
        docker compose ps --all || true
        docker compose logs --tail 20 || true
        summary
    fi
}

# Ends the script with the sum.
summary() {
    printf 'engine %s, compose %s; the base images were %s\n' "$(docker version --format '{{.Server.Version}}')" \
        "$(docker compose version --short)" "stand-ins made from Debian's packages, not pulled"
    printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
    exit "$((failed > 0))"
}

# Sets `grpcurl`; the one that scripts/test-clients has built will do.
grpcurl_program() {
    if grpcurl=$(command -v grpcurl); then return; fi
    grpcurl=target/clients/grpcurl/bin/grpcurl
    if [[ ! -x $grpcurl ]]; then
        echo '== building grpcurl'
        cargo install grpcurl-rs --version 0.2.1 --locked --quiet --root target/clients/grpcurl
    fi
}

# call ADDRESS METHOD JSON
call() {
    inside "$grpcurl" -plaintext -d "$3" "$1" "claim.v1.ClaimService/$2"
}

# within SECONDS COMMAND…: until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || { printf 'not within the time: %s\n' "$*"; return 1; }
        sleep 0.3
    done
}

containers_of() {
    docker compose ps --all --quiet "$@"
}

# of CONTAINER FORMAT
of() {
    docker inspect --format "$2" "$1"
}

names_its_commit() {
    local image
    for image in claim-server claim-reaper; do
        docker run --rm "$image" --version
        docker run --rm "$image" --version | grep -F "$CLAIM_COMMIT"
        [[ $(of "$image" '{{index .Config.Labels "org.opencontainers.image.revision"}}') == "$CLAIM_COMMIT" ]]
    done
}

refuses_without_settings() {
    local status=0
    docker run --rm --read-only claim-server 2>&1 | tee "$engine/refused.log" || status=${PIPESTATUS[0]}
    ((status == 64)) && grep DATABASE_URL "$engine/refused.log"
}

# What kustomize makes of the example, with files of the kinds that it mounts, run by the programs. They find no database,
# and do not end for that. `rehearse` REAPER WORKLOAD IMAGE prints the arguments for docker.
rehearse() {
    target/manifests/venv/bin/python - "target/manifests/$1.yaml" "$2" "$engine/mounted" "$3" <<'PYTHON'
import sys, yaml
rendered, workload, mounted, image = sys.argv[1:]
kind, name = workload.split("/")
found = [d for d in yaml.safe_load_all(open(rendered)) if d["kind"] == kind and d["metadata"]["name"] == name]
spec = found[0]["spec"]
spec = spec.get("jobTemplate", {"spec": spec})["spec"]
container = spec["template"]["spec"]["containers"][0]
print("--read-only", "--network=none", "--cap-drop=ALL", sep="\n")
for mount in container["volumeMounts"]:
    print(f"--volume={mounted}/{mount['name']}:{mount['mountPath']}:ro")
print(f"--volume={mounted}/token:/var/run/secrets/kubernetes.io/serviceaccount:ro")
for variable in container["env"]:
    print(f"--env={variable['name']}={variable['value']}")
print(image, *container.get("args", []), sep="\n")
PYTHON
}

programs_take_the_example() {
    local mounted=$engine/mounted arguments workload status=0 example=deploy/kubernetes/example
    scripts/test-manifests
    rm -rf "$mounted"
    mkdir -p "$mounted"/{database,tls,policy,token}
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=claims -addext subjectAltName=DNS:claims \
        -keyout "$mounted/tls/tls.key" -out "$mounted/tls/tls.crt"
    cp "$mounted/tls/tls.crt" "$mounted/database/ca.crt"
    cp "$mounted/tls/tls.crt" "$mounted/token/ca.crt"
    echo token >"$mounted/token/token"
    cp "$example/database-url" "$mounted/database/url"
    cp "$example/policy.toml" "$mounted/policy/policy.toml"
    chmod -R a+rX "$mounted"
    for workload in daemon=Deployment/claim-server daemon=Deployment/claim-reaper; do
        rehearse "${workload%=*}" "${workload#*=}" "${workload##*/}" >"$engine/arguments"
        mapfile -t arguments <"$engine/arguments"
        docker rm --force rehearsal >/dev/null 2>&1 || true
        docker run --detach --name rehearsal "${arguments[@]}"
        within 20 alive rehearsal "${workload##*/}"
        docker rm --force rehearsal
    done
    # One pass without a database fails: 1. Wrong settings would be 64.
    rehearse cron CronJob/claim-reaper claim-reaper >"$engine/arguments"
    mapfile -t arguments <"$engine/arguments"
    docker run --rm "${arguments[@]}" || status=$?
    ((status == 1))
}

# alive CONTAINER PROGRAM
alive() {
    docker exec "$1" "/usr/local/bin/$2" health --live || { docker logs --tail 3 "$1"; return 1; }
}

published_on_loopback_only() {
    local published
    published=$(docker ps --quiet | xargs docker inspect \
        --format '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}' | xargs -n 1 | sort)
    echo "$published"
    [[ $published == $'127.0.0.1:50051\n127.0.0.1:50052\n127.0.0.1:9090' ]]
}

no_password_in_settings() {
    local password
    password=$(docker compose exec -T --user postgres postgres cat /run/secrets/database-password)
    ((${#password} == 48))
    ! containers_of | xargs docker inspect | grep -F "$password"
}

confined() {
    local container pid
    for container in $(containers_of claim-server claim-reaper); do
        pid=$(of "$container" '{{.State.Pid}}')
        grep -E '^(Uid|Gid|CapEff|CapBnd|NoNewPrivs)' "/proc/$pid/status"
        grep -Eq $'^Uid:\t65532\t65532\t65532\t65532$' "/proc/$pid/status"
        grep -Eq $'^Gid:\t65532\t65532\t65532\t65532$' "/proc/$pid/status"
        grep -Eq $'^CapEff:\t0+$' "/proc/$pid/status"
        grep -Eq $'^CapBnd:\t0+$' "/proc/$pid/status"
        grep -Eq $'^NoNewPrivs:\t1$' "/proc/$pid/status"
        awk '$5 == "/" { split($6, option, ","); found = option[1] == "ro" } END { exit !found }' "/proc/$pid/mountinfo"
    done
}

no_shell() {
    local image shell
    for image in claim-server claim-reaper; do
        for shell in sh bash /bin/sh /busybox/sh; do
            if docker run --rm --entrypoint "$shell" "$image" -c true; then return 1; fi
        done
    done
}

# A claim whose holder is silent is expired and stays in the table; its entity's fence only ever grows.
both_servers_serve() {
    local minted
    minted=$(call "$first" Mint '{"entity_url": "/kept", "consumer_id": "kept"}')
    echo "$minted"
    [[ $minted == *'"epoch": "1"'* && $minted == *'"fence": "1"'* ]]
    call "$second" Heartbeat '{"consumer_id": "kept", "epoch": "1"}'
    call "$second" Done '{"consumer_id": "kept", "epoch": "1"}'
    [[ $(docker compose port --index 1 claim-server 50051) != $(docker compose port --index 2 claim-server 50051) ]]
}

# What was recorded before is there, and the next claim is counted on from it. Every call of it is a new claim.
nothing_is_lost() {
    local address fence last
    for address in "$first" "$second"; do
        call "$address" GetClaim '{"consumer_id": "kept", "epoch": "1"}' | grep -F '"endReason": "done"'
        last=$(cat "$engine/last-fence")
        fence=$(call "$address" Mint '{"entity_url": "/counted", "consumer_id": "counted"}' |
            sed -n 's/.*"fence": "\([0-9]*\)".*/\1/p')
        echo "fence $fence after $last"
        ((fence == last + 1))
        echo "$fence" >"$engine/last-fence"
        call "$address" Done "{\"consumer_id\": \"counted\", \"epoch\": \"$fence\"}"
    done
}

# ask PATH: Prometheus' API.
ask() {
    inside curl --silent --fail --max-time 5 "$prometheus/api/v1/$1"
}

targets_are_up() {
    ask targets | python3 -c '
import collections, json, sys
up = collections.Counter(
    (target["labels"]["job"], target["health"]) for target in json.load(sys.stdin)["data"]["activeTargets"])
print(dict(up))
wanted = {("claim-server", "up"): 2, ("claim-reaper", "up"): 1}
sys.exit(not (wanted.items() <= up.items() and all(health == "up" for _, health in up)))'
}

prometheus_watches() {
    within 60 targets_are_up
    ask rules | python3 -c '
import json, sys
rules = [rule for group in json.load(sys.stdin)["data"]["groups"] for rule in group["rules"]]
print(len(rules), "rules;", [rule["name"] for rule in rules if rule["health"] == "err"], "fail")
sys.exit(not rules or any(rule["health"] == "err" for rule in rules))'
}

up_again_changes_nothing() {
    local before
    before=$(containers_of claim-server claim-reaper postgres prometheus | sort)
    docker compose up --wait --quiet-pull
    [[ $(containers_of claim-server claim-reaper postgres prometheus | sort) == "$before" ]]
    nothing_is_lost
}

# back_since CONTAINER TIME: it was started after this, and is healthy.
back_since() {
    [[ $(of "$1" '{{.State.StartedAt}}') > $2 && $(of "$1" '{{.State.Health.Status}}') == healthy ]]
}

all_are_healthy() {
    local container
    for container in $(docker compose ps --all --quiet claim-server claim-reaper postgres prometheus); do
        [[ $(of "$container" '{{.State.Health.Status}}') == healthy ]] || return 1
    done
}

# As a crash or the kernel would end it: `docker kill` is an operator's act, after which the engine starts nothing.
kill_process() {
    local pid
    pid=$(of "$1" '{{.State.Pid}}')
    # 0 of one that does not run; to `kill` that is this script.
    ((pid > 1)) || { echo "$1 does not run"; return 1; }
    kill -9 "$pid"
}

survives_kill() {
    local started
    started=$(of "$1" '{{.State.StartedAt}}')
    kill_process "$1"
    within "$healthy_within" back_since "$1" "$started"
    within "$healthy_within" all_are_healthy
    nothing_is_lost
}

survives_kill_of_all() {
    local container started
    started=$(date --utc +%Y-%m-%dT%H:%M:%S)
    for container in $(containers_of claim-server claim-reaper postgres prometheus); do kill_process "$container"; done
    for container in $(containers_of claim-server claim-reaper postgres prometheus); do
        within "$healthy_within" back_since "$container" "$started"
    done
    within "$healthy_within" all_are_healthy
    nothing_is_lost
}

stops_in_good_order() {
    local container
    docker compose stop claim-server claim-reaper
    for container in $(containers_of claim-server claim-reaper); do
        [[ $(of "$container" '{{.State.ExitCode}}') == 0 ]] || { docker logs --tail 5 "$container"; return 1; }
    done
}

down_keeps_the_data() {
    docker compose down
    docker compose up --wait --quiet-pull
    nothing_is_lost
}
