"""Rules about what runs in pods: who it runs as, what it may use, which settings it gets."""

import re
from collections.abc import Iterator

from sources import flags_of, image_user, probe_paths, settings_of
from world import ABSENT, World, containers, environment, rule, seconds

SERVER = "Deployment/claim-server"
REAPER = "Deployment/claim-reaper"
CRON = "CronJob/claim-reaper"
MIGRATE = "Job/claim-migrate"
SERVER_POD = "spec.template.spec"
CRON_POD = "spec.jobTemplate.spec.template.spec"
FIRST = f"{SERVER_POD}.containers.0"


@rule(
    "pods run as the user of the image, who is not root, and under the default filter of system calls",
    (SERVER, f"{SERVER_POD}.securityContext.runAsNonRoot", ABSENT),
    (SERVER, f"{SERVER_POD}.securityContext.runAsUser", 0),
    (MIGRATE, f"{SERVER_POD}.securityContext.fsGroup", ABSENT),
    (CRON, f"{CRON_POD}.securityContext.seccompProfile.type", "Unconfined"),
    (REAPER, f"{SERVER_POD}.securityContext.runAsUser", 1000),
)
def unprivileged(world: World) -> Iterator[str]:
    user = image_user(world.repository)
    wanted = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for name, template in world.pods():
        if template["spec"].get("securityContext") != wanted:
            yield f"{name}: the securityContext of the pod is not {wanted}"


@rule(
    "containers cannot write to their root or gain privileges, and have no capabilities",
    (SERVER, f"{FIRST}.securityContext.readOnlyRootFilesystem", False),
    (SERVER, f"{SERVER_POD}.initContainers.0.securityContext.allowPrivilegeEscalation", True),
    (REAPER, f"{FIRST}.securityContext.capabilities.drop", ["NET_RAW"]),
    (CRON, f"{CRON_POD}.containers.0.securityContext.privileged", True),
    (MIGRATE, f"{FIRST}.securityContext", ABSENT),
)
def confined(world: World) -> Iterator[str]:
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for name, template in world.pods():
        for container in containers(template):
            if container.get("securityContext") != wanted:
                yield f"{name}: the securityContext of {container['name']} is not {wanted}"


@rule(
    "containers say what they need, have a limit of memory, and none of the processor",
    (SERVER, f"{FIRST}.resources.requests", ABSENT),
    (SERVER, f"{FIRST}.resources.limits.cpu", "1"),
    (CRON, f"{CRON_POD}.containers.0.resources.limits", ABSENT),
)
def resources(world: World) -> Iterator[str]:
    for name, template in world.pods():
        for container in containers(template):
            given = container.get("resources", {})
            if set(given.get("requests", {})) != {"cpu", "memory"} or set(given.get("limits", {})) != {"memory"}:
                yield f"{name}: the resources of {container['name']} are {given}"


@rule(
    "a pod has more time to end than its preStop and CLAIM_SHUTDOWN_GRACE take",
    (SERVER, f"{SERVER_POD}.terminationGracePeriodSeconds", 30),
    (SERVER, f"{FIRST}.env.CLAIM_SHUTDOWN_GRACE.value", "40s"),
    (SERVER, f"{FIRST}.lifecycle.preStop.sleep.seconds", 25),
    (REAPER, f"{SERVER_POD}.terminationGracePeriodSeconds", 20),
    (CRON, f"{CRON_POD}.terminationGracePeriodSeconds", ABSENT),
    (CRON, f"{CRON_POD}.containers.0.env.CLAIM_SHUTDOWN_GRACE.name", "OTHER"),
)
def time_to_end(world: World) -> Iterator[str]:
    for name, template in world.pods():
        if name == MIGRATE:
            continue
        given = template["spec"].get("terminationGracePeriodSeconds", 0)
        for container in template["spec"]["containers"]:
            grace = environment(container).get("CLAIM_SHUTDOWN_GRACE")
            if grace is None:
                yield f"{name}: CLAIM_SHUTDOWN_GRACE is not said"
                continue
            sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if given <= sleep + seconds(grace):
                yield f"{name}: {given} s to end, but {sleep} s of preStop and {grace} to drain"


@rule(
    "daemons are probed where they listen, and only readiness asks for more than a sign of life",
    (SERVER, f"{FIRST}.livenessProbe.httpGet.path", "/readyz"),
    (SERVER, f"{FIRST}.readinessProbe.httpGet.path", "/ready"),
    (SERVER, f"{FIRST}.startupProbe", ABSENT),
    (SERVER, f"{FIRST}.readinessProbe.httpGet.port", "grpc"),
    (SERVER, f"{FIRST}.env.CLAIM_METRICS_LISTEN.value", "0.0.0.0:9999"),
    (SERVER, f"{FIRST}.env.CLAIM_METRICS_LISTEN.value", "127.0.0.1:9464"),
    (REAPER, f"{FIRST}.readinessProbe", ABSENT),
    (REAPER, f"{FIRST}.ports.0.containerPort", 9464),
)
def probes(world: World) -> Iterator[str]:
    served = probe_paths(world.repository)
    wanted = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for deployment in world.of_kind("Deployment"):
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            listens = environment(container).get("CLAIM_METRICS_LISTEN", "")
            for probe, path in wanted.items():
                get = container.get(probe, {}).get("httpGet", {})
                if get.get("path") != path or path not in served:
                    yield f"{container['name']}: {probe} does not ask {path}"
                if listens != f"0.0.0.0:{ports.get(get.get('port'))}":
                    yield f"{container['name']}: {probe} asks port {get.get('port')}, the program is on {listens}"


@rule(
    "the gRPC port is the one of CLAIM_LISTEN, and encrypted",
    (SERVER, f"{FIRST}.ports.0.containerPort", 50052),
    (SERVER, f"{FIRST}.env.CLAIM_LISTEN.value", "127.0.0.1:50051"),
    (SERVER, f"{FIRST}.env.CLAIM_TLS_CERT.name", "CLAIM_ALLOW_PLAINTEXT"),
    (SERVER, f"{FIRST}.env.CLAIM_POLICY_FILE.name", "CLAIM_ALLOW_ANONYMOUS"),
)
def grpc_port(world: World) -> Iterator[str]:
    server = world.documents[SERVER]["spec"]["template"]["spec"]["containers"][0]
    given = environment(server)
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    if given.get("CLAIM_LISTEN") != f"0.0.0.0:{ports['grpc']}":
        yield f"CLAIM_LISTEN is {given.get('CLAIM_LISTEN')}, the port {ports['grpc']}"
    for setting in ("CLAIM_TLS_CERT", "CLAIM_TLS_KEY", "CLAIM_POLICY_FILE"):
        if setting not in given:
            yield f"{setting} is not set"


@rule(
    "every setting is one of the program, and no secret stands in one",
    (SERVER, f"{FIRST}.env.CLAIM_METRICS_LISTEN.name", "CLAIM_METRICS_ADDRESS"),
    (SERVER, f"{FIRST}.env.DATABASE_URL_FILE.name", "DATABASE_URL"),
    (CRON, f"{CRON_POD}.containers.0.env.CLAIM_SHUTDOWN_GRACE.name", "CLAIM_LISTEN"),
)
def settings(world: World) -> Iterator[str]:
    for name, template in world.pods():
        for container in containers(template):
            program = container["image"].split("/")[-1].split(":")[0]
            known = settings_of(world.repository, program)
            for setting in environment(container):
                if setting not in known:
                    yield f"{name}: {program} has no setting {setting}"
            if "DATABASE_URL_FILE" not in environment(container):
                yield f"{name}: {container['name']} is not given its database by a file"


@rule(
    "every flag is one of the program",
    (CRON, f"{CRON_POD}.containers.0.args.0", "--twice"),
    (MIGRATE, f"{FIRST}.args.0", "migrat"),
    (SERVER, f"{SERVER_POD}.initContainers.0.args.1", "--chek"),
)
def flags(world: World) -> Iterator[str]:
    for name, template in world.pods():
        for container in containers(template):
            program = container["image"].split("/")[-1].split(":")[0]
            known = flags_of(world.repository, program)
            for argument in container.get("args", []):
                if re.fullmatch(r"-?-?[a-z-]+", argument) and argument not in known:
                    yield f"{name}: {program} has no {argument}"


@rule(
    "every file that a setting names is mounted whole, and is a key of what is mounted",
    (SERVER, f"{FIRST}.env.CLAIM_TLS_CERT.value", "/etc/claims/tls/server.crt"),
    (SERVER, f"{FIRST}.env.CLAIM_POLICY_FILE.value", "/etc/claims/policies/policy.toml"),
    (SERVER, f"{FIRST}.volumeMounts.database.subPath", "url"),
    (REAPER, f"{FIRST}.env.DATABASE_URL_FILE.value", "/etc/claims/database/uri"),
    (MIGRATE, f"{SERVER_POD}.volumes.database.secret.secretName", "claim-databases"),
    (SERVER, f"{SERVER_POD}.volumes.policy.configMap.name", "claims-policy"),
)
def files(world: World) -> Iterator[str]:
    # The one that the overlay does not make: cert-manager does, or a command.
    keys = {"claim-server-tls": {"tls.crt", "tls.key"}}
    for document in world.of_kind("Secret", "ConfigMap"):
        keys[document["metadata"]["name"]] = {*document.get("data", {}), *document.get("stringData", {})}
    for name, template in world.pods():
        sources = {}
        for volume in template["spec"].get("volumes", []):
            source = volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
            sources[volume["name"]] = source
            if source not in keys:
                yield f"{name}: there is no {source}"
        for container in containers(template):
            mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
            if any("subPath" in mount or not mount.get("readOnly") for mount in mounts.values()):
                yield f"{name}: {container['name']} mounts a file alone, or to be written"
            for setting, value in environment(container).items():
                if value.startswith("/etc/claims/"):
                    folder, _, key = value.rpartition("/")
                    source = sources.get(mounts.get(folder, {}).get("name"))
                    if key not in keys.get(source or "", set()):
                        yield f"{name}: nothing mounts {value}, which {setting} names"
