"""Rules about how workloads belong together: selectors, rollouts, jobs, networks, what watches them."""

from collections.abc import Iterator

import yaml
from pods import CRON, MIGRATE, REAPER, SERVER, SERVER_POD
from world import ABSENT, World, containers, environment, matches, name_of, rule, seconds

POLICY = "NetworkPolicy/claim-server"
JOBS_POLICY = "NetworkPolicy/claim-jobs"
BUDGET = "PodDisruptionBudget/claim-server"
EACH = "Service/claim-server-each"
MONITOR = "ServiceMonitor/claims"
ALERTS = "PrometheusRule/claims"
JOB = "spec.jobTemplate.spec"

# What Kubernetes takes for these keys; its schemas do not say so.
ENUMS = {
    "action": {"Ignore", "FailJob", "FailIndex", "Count"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "operator": {"In", "NotIn", "Exists", "DoesNotExist", "Equal"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "unhealthyPodEvictionPolicy": {"IfHealthyBudget", "AlwaysAllow"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
}


@rule(
    "every word of a fixed list is on it",
    (CRON, "spec.concurrencyPolicy", "Never"),
    (CRON, f"{JOB}.template.spec.restartPolicy", "never"),
    (BUDGET, "spec.unhealthyPodEvictionPolicy", "Always"),
    (SERVER, f"{SERVER_POD}.topologySpreadConstraints.0.whenUnsatisfiable", "Schedule"),
    (POLICY, "spec.egress.0.ports.0.protocol", "udp"),
    (POLICY, "spec.policyTypes.1", "egress"),
)
def words(world: World) -> Iterator[str]:
    def walk(name: str, value: object) -> Iterator[str]:
        if isinstance(value, list):
            for item in value:
                yield from walk(name, item)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in ENUMS and item not in ENUMS[key]:
                    yield f"{name}: {key} cannot be {item}"
                if key == "policyTypes" and not set(item) <= {"Ingress", "Egress"}:
                    yield f"{name}: policyTypes cannot be {item}"
                yield from walk(name, item)

    for name, document in world.documents.items():
        if not name.startswith(("Compose/", "PrometheusRule/")):
            yield from walk(name, document)


@rule(
    "selectors select the pods that they are meant for",
    (SERVER, "spec.template.metadata.labels", {"app.kubernetes.io/name": "server"}),
    (BUDGET, "spec.selector.matchLabels", {"app": "claim-server"}),
    (EACH, "spec.selector", {"app": "claim-server"}),
    (SERVER, f"{SERVER_POD}.topologySpreadConstraints.1.labelSelector.matchLabels", {"app": "claim-server"}),
)
def selectors(world: World) -> Iterator[str]:
    labels = {name: template["metadata"]["labels"] for name, template in world.pods()}
    for deployment in world.of_kind("Deployment"):
        own = labels[name_of(deployment)]
        asked = [deployment["spec"]["selector"]]
        asked += [spread["labelSelector"] for spread in deployment["spec"]["template"]["spec"].get(
            "topologySpreadConstraints", [])]
        if not all(matches(selector, own) for selector in asked):
            yield f"{name_of(deployment)}: does not select its own pods"
    for document in world.of_kind("PodDisruptionBudget"):
        if not any(matches(document["spec"]["selector"], pod) for pod in labels.values()):
            yield f"{name_of(document)}: selects no pods"
    for document in world.of_kind("Service"):
        chosen = [name for name, pod in labels.items() if matches({"matchLabels": document["spec"]["selector"]}, pod)]
        if not chosen:
            yield f"{name_of(document)}: selects no pods"
        for name in chosen:
            ports = {port["name"]: port["containerPort"] for port in world.documents[name]["spec"]["template"]["spec"][
                "containers"][0]["ports"]}
            for port in document["spec"]["ports"]:
                if ports.get(port["targetPort"]) != port["port"]:
                    yield f"{name_of(document)}: {name} does not listen on {port}"


@rule(
    "callers can balance among the servers themselves",
    (EACH, "spec.clusterIP", ABSENT),
    (EACH, "spec.ports.0.name", "http"),
)
def headless(world: World) -> Iterator[str]:
    spec = world.documents[EACH]["spec"]
    if spec.get("clusterIP") != "None" or "grpc" not in [port["name"] for port in spec["ports"]]:
        yield f"{EACH} does not lead to each server"


@rule(
    "a rollout and a drained node each leave as many servers as are needed",
    (SERVER, "spec.strategy.rollingUpdate.maxUnavailable", 1),
    (SERVER, "spec.strategy.rollingUpdate.maxSurge", 0),
    (SERVER, "spec.strategy", ABSENT),
    (SERVER, f"{SERVER_POD}.containers.0.lifecycle", ABSENT),
    (BUDGET, "spec.maxUnavailable", 3),
    (BUDGET, "spec.maxUnavailable", 0),
    (SERVER, "spec.replicas", 1),
)
def rollout(world: World) -> Iterator[str]:
    spec = world.documents[SERVER]["spec"]
    update = spec.get("strategy", {}).get("rollingUpdate", {})
    if update.get("maxUnavailable") != 0 or update.get("maxSurge", 0) < 1:
        yield f"{SERVER}: a rollout takes servers away before their successors are ready"
    sleep = spec["template"]["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    if sleep.get("seconds", 0) < 5:
        yield f"{SERVER}: drains while it is still in the lists of addresses"
    allowed = world.documents[BUDGET]["spec"].get("maxUnavailable")
    if not isinstance(allowed, int) or not 1 <= allowed < spec["replicas"]:
        yield f"{BUDGET}: of {spec['replicas']} servers {allowed} may go"


@rule(
    "servers wait for the schema of their version, longer than the migration may take",
    (SERVER, f"{SERVER_POD}.initContainers", []),
    (SERVER, f"{SERVER_POD}.initContainers.0.args", ["migrate"]),
    (SERVER, f"{SERVER_POD}.initContainers.0.image", "claim-server:0.0.9"),
    (SERVER, "spec.progressDeadlineSeconds", 600),
    (MIGRATE, "spec.activeDeadlineSeconds", ABSENT),
    (MIGRATE, "spec.ttlSecondsAfterFinished", ABSENT),
)
def schema(world: World) -> Iterator[str]:
    migrate, server = world.documents[MIGRATE]["spec"], world.documents[SERVER]["spec"]
    pod = server["template"]["spec"]
    waits = [container for container in pod["initContainers"] if container["args"] == ["migrate", "--check"]]
    images = {container["image"] for container in [*waits, *pod["containers"], *containers(migrate["template"])]}
    if len(waits) != 1 or len(images) != 1:
        yield f"{SERVER}: does not wait for the schema of the same version: {sorted(images)}"
    if not migrate.get("activeDeadlineSeconds", 10**9) < server["progressDeadlineSeconds"]:
        yield f"{SERVER}: gives up before {MIGRATE}"
    if "ttlSecondsAfterFinished" not in migrate:
        yield f"{MIGRATE}: is in the way of the next one for ever"


@rule(
    "a pass of the cron job fits into its minute, and its failures are told apart and not repeated",
    (CRON, "spec.concurrencyPolicy", "Allow"),
    (CRON, "spec.schedule", "*/5 * * * *"),
    (CRON, "spec.startingDeadlineSeconds", 5),
    (CRON, "spec.startingDeadlineSeconds", ABSENT),
    (CRON, "spec.failedJobsHistoryLimit", 0),
    (CRON, f"{JOB}.activeDeadlineSeconds", 50),
    (CRON, f"{JOB}.backoffLimit", 6),
    (CRON, f"{JOB}.template.spec.restartPolicy", "OnFailure"),
    (CRON, f"{JOB}.podFailurePolicy.rules.1.onExitCodes.values", [2, 64]),
    (CRON, f"{JOB}.podFailurePolicy.rules.1.onExitCodes.containerName", "reaper"),
    (CRON, f"{JOB}.template.spec.containers.0.args", ["--json", "--budget", "50s"]),
    (CRON, f"{JOB}.template.spec.containers.0.args", ["--once", "--json", "--budget", "60s"]),
)
def cron(world: World) -> Iterator[str]:
    for document in world.of_kind("CronJob"):
        spec, job = document["spec"], document["spec"]["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        arguments = pod["containers"][0]["args"]
        budget = seconds(arguments[arguments.index("--budget") + 1])
        grace = seconds(environment(pod["containers"][0])["CLAIM_SHUTDOWN_GRACE"])
        stated = {
            "one pass a minute": spec["schedule"] == "* * * * *" and arguments[:2] == ["--once", "--json"],
            "never two at once": spec["concurrencyPolicy"] == "Forbid",
            "a bounded wait to begin": 10 <= spec.get("startingDeadlineSeconds", 0) < 60,
            "the budget within the minute": budget < 60,
            "the deadline beyond the budget": job.get("activeDeadlineSeconds", 0) > budget + grace,
            "no second try": job["backoffLimit"] == 0 and pod["restartPolicy"] == "Never",
            "a history": spec["successfulJobsHistoryLimit"] >= 1 and spec["failedJobsHistoryLimit"] >= 1,
        }
        yield from (f"{CRON}: not so: {what}" for what, holds in stated.items() if not holds)
        named = set()
        for policy in job["podFailurePolicy"]["rules"]:
            codes = policy.get("onExitCodes", {})
            if codes.get("containerName") == pod["containers"][0]["name"]:
                named |= set(codes["values"])
        if named != {2, 3, 64}:
            yield f"{CRON}: the exit codes {sorted(named)} are told apart, not 2, 3 and 64"


@rule(
    "every pod has one network policy of its own, both ways; only callers reach gRPC, only monitoring the metrics",
    (POLICY, "spec.policyTypes", ["Ingress"]),
    (POLICY, "spec.ingress.0.from.0.podSelector", {}),
    (POLICY, "spec.ingress.0.from", ABSENT),
    (POLICY, "spec.ingress.1.from.0.namespaceSelector", {}),
    (POLICY, "spec.ingress.1.ports.0.port", 9464),
    (JOBS_POLICY, "spec.podSelector.matchExpressions.0.values", ["claim-reaper"]),
    (JOBS_POLICY, "spec.egress.1.ports.0.port", 5433),
    (POLICY, "spec.egress.1.ports", ABSENT),
)
def network(world: World) -> Iterator[str]:
    policies = [document for document in world.of_kind("NetworkPolicy")
                if "Ingress" in document["spec"]["policyTypes"] and "Egress" in document["spec"]["policyTypes"]]
    for name, template in world.pods():
        chosen = [policy for policy in policies
                  if matches(policy["spec"]["podSelector"], template["metadata"]["labels"])]
        if len(chosen) != 1:
            yield f"{name}: has {len(chosen)} network policies"
    callers = {"claims/caller": "true"}
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    for policy in policies:
        for way in policy["spec"]["ingress"]:
            for port in way["ports"]:
                for peer in way.get("from") or [{}]:
                    pods = peer.get("podSelector", {}).get("matchLabels")
                    spaces = peer.get("namespaceSelector", {}).get("matchLabels")
                    if not (port["port"] == "grpc" and pods == callers or
                            port["port"] == "metrics" and spaces == monitoring):
                        yield f"{name_of(policy)}: lets {peer} come to {port['port']}"
        ends = sorted({port["port"] for way in policy["spec"]["egress"] for port in way.get("ports", [{"port": 0}])})
        if ends != [53, 5432]:
            yield f"{name_of(policy)}: lets out to {ends}, not to names and the database alone"


@rule(
    "images are named by a version",
    (SERVER, f"{SERVER_POD}.containers.0.image", "registry.example/claim-server"),
    (REAPER, f"{SERVER_POD}.containers.0.image", "registry.example/claim-reaper:latest"),
)
def versions(world: World) -> Iterator[str]:
    for name, template in world.pods():
        for container in containers(template):
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            if tag in ("", "latest"):
                yield f"{name}: runs {container['image']}"


@rule(
    "the Prometheus operator gets the rules of deploy/prometheus/claim-rules.yml",
    (ALERTS, "spec.groups", []),
    (ALERTS, "spec.groups.0.rules.0.expr", "vector(0)"),
)
def alerts(world: World) -> Iterator[str]:
    rules = yaml.safe_load((world.repository / "deploy/prometheus/claim-rules.yml").read_text())
    if world.documents[ALERTS]["spec"] != rules or not rules["groups"]:
        yield f"{ALERTS} is another: run scripts/test-manifests --write"


@rule(
    "the Prometheus operator scrapes every daemon, under the names that the rules know",
    (MONITOR, "spec.endpoints.0.port", "http"),
    (MONITOR, "spec.endpoints.0.path", "/metric"),
    (MONITOR, "spec.jobLabel", "app"),
    (MONITOR, "spec.selector.matchLabels", {"app": "claims"}),
    (EACH, "metadata.labels", {"app.kubernetes.io/part-of": "claims"}),
    (EACH, "spec.ports.1.port", 9465),
)
def scraped(world: World) -> Iterator[str]:
    known = yaml.safe_load((world.repository / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    wanted = {config["job_name"]: config["dns_sd_configs"][0]["port"] for config in known}
    spec = world.documents[MONITOR]["spec"]
    endpoint = spec["endpoints"][0]
    found = {}
    for service in world.of_kind("Service"):
        if matches(spec["selector"], service["metadata"]["labels"]):
            for port in service["spec"]["ports"]:
                if port["name"] == endpoint["port"]:
                    found[service["metadata"]["labels"].get(spec["jobLabel"])] = port["port"]
    if "CronJob" in {name.split("/")[0] for name in world.documents}:
        wanted.pop("claim-reaper")
    if endpoint["path"] != "/metrics" or found != wanted:
        yield f"{MONITOR}: finds {found}, not {wanted}"
