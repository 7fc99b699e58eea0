"""Rules about docker-compose.yml, which runs everything open and therefore on loopback only."""

import re
from collections.abc import Iterator

import yaml
from sources import image_user, settings_of, targets
from world import ABSENT, World, rule, seconds

COMPOSE = "Compose/claims"
SERVER = "services.claim-server"
# Those that run all the time.
DAEMONS = ("postgres", "claim-server", "claim-reaper", "prometheus")
# Those that are made here.
OURS = ("migrate", "claim-server", "claim-reaper")
# What CLAIM_SHUTDOWN_GRACE is where it is not set.
SHUTDOWN_GRACE = 20.0


@rule(
    "compose publishes on loopback only, and has a port for each server",
    (COMPOSE, f"{SERVER}.ports", ["50051-50052:50051"]),
    (COMPOSE, "services.postgres.ports", ["5432:5432"]),
    (COMPOSE, f"{SERVER}.deploy.replicas", 3),
    (COMPOSE, "services.prometheus.network_mode", "host"),
)
def loopback(world: World) -> Iterator[str]:
    services = world.documents[COMPOSE]["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name} is published on {port}"
        if service.get("network_mode", "none") != "none":
            yield f"{name} shares the network of the machine"
    published = re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):50051", services["claim-server"]["ports"][0])
    if not published or int(published[2]) - int(published[1]) + 1 != services["claim-server"]["deploy"]["replicas"]:
        yield "there is not one port for each server"


@rule(
    "whatever runs all the time is started again, and tells how it is",
    (COMPOSE, f"{SERVER}.restart", "no"),
    (COMPOSE, "services.postgres.healthcheck", ABSENT),
    (COMPOSE, "services.claim-reaper.healthcheck", {"disable": True}),
    (COMPOSE, "services.prometheus.restart", ABSENT),
)
def daemons(world: World) -> Iterator[str]:
    for name in DAEMONS:
        service = world.documents[COMPOSE]["services"][name]
        if service.get("restart") != "unless-stopped":
            yield f"{name} is not started again"
        # Ours have theirs from the image.
        test = service.get("healthcheck", {} if name in OURS else {"disable": True})
        if test.get("disable"):
            yield f"{name} does not tell how it is"


@rule(
    "our containers in compose cannot write to their root or gain privileges, and have time to drain",
    (COMPOSE, f"{SERVER}.read_only", False),
    (COMPOSE, "services.migrate.cap_drop", ABSENT),
    (COMPOSE, "services.claim-reaper.security_opt", []),
    (COMPOSE, f"{SERVER}.stop_grace_period", "10s"),
    (COMPOSE, "services.claim-reaper.user", "root"),
    (COMPOSE, f"{SERVER}.build.target", "server"),
)
def confined(world: World) -> Iterator[str]:
    for name in OURS:
        service = world.documents[COMPOSE]["services"][name]
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"] or service.get("user"):
            yield f"{name} may do more than it needs"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name} may gain privileges"
        if seconds(service["stop_grace_period"]) <= SHUTDOWN_GRACE:
            yield f"{name} is killed before it has drained"
        if service["build"]["target"] not in targets(world.repository):
            yield f"{name}: the Dockerfile has no {service['build']['target']}"


@rule(
    "compose begins with the database, then its schema, then everything else",
    (COMPOSE, f"{SERVER}.depends_on.migrate.condition", "service_started"),
    (COMPOSE, "services.migrate.depends_on.postgres.condition", "service_started"),
    (COMPOSE, "services.claim-reaper.depends_on", ABSENT),
)
def order(world: World) -> Iterator[str]:
    done, healthy = "service_completed_successfully", "service_healthy"
    wanted = {
        "postgres": {"secrets": {"condition": done}},
        "migrate": {"postgres": {"condition": healthy}},
        "claim-server": {"migrate": {"condition": done}},
        "claim-reaper": {"migrate": {"condition": done}},
    }
    for name, before in wanted.items():
        if world.documents[COMPOSE]["services"][name].get("depends_on") != before:
            yield f"{name} does not wait for {before}"


@rule(
    "every setting in compose is one of the program, and secrets are files of who needs them",
    (COMPOSE, f"{SERVER}.environment.CLAIM_METRICS_ADDRESS", "0.0.0.0:9464"),
    (COMPOSE, "services.claim-reaper.environment.DATABASE_URL", "postgres://claims:secret@postgres/claims"),
    (COMPOSE, "services.postgres.environment.POSTGRES_PASSWORD", "secret"),
    (COMPOSE, "services.migrate.environment.DATABASE_URL_FILE", "/run/database-url"),
    (COMPOSE, "services.secrets.command", ["chown 1000 database-url"]),
)
def settings(world: World) -> Iterator[str]:
    services = world.documents[COMPOSE]["services"]
    for name in OURS:
        for setting in services[name]["environment"]:
            if setting not in settings_of(world.repository, services[name]["image"]):
                yield f"{services[name]['image']} has no setting {setting}"
        if services[name]["environment"].get("DATABASE_URL_FILE") != "/run/secrets/database-url":
            yield f"{name} is not given its database by a file"
    if "POSTGRES_PASSWORD" in services["postgres"]["environment"]:
        yield "postgres has its password in a setting"
    if f"chown {image_user(world.repository)} database-url" not in services["secrets"]["command"][0]:
        yield "the secrets are not made for the user of the images"


@rule(
    "Prometheus looks for the programs where compose runs them",
    (COMPOSE, f"{SERVER}.environment.CLAIM_METRICS_LISTEN", "0.0.0.0:9999"),
    (COMPOSE, "services.claim-reaper.environment.CLAIM_METRICS_LISTEN", "127.0.0.1:9465"),
    (COMPOSE, "services.prometheus.volumes", ["prometheus:/prometheus"]),
)
def scraped(world: World) -> Iterator[str]:
    services = world.documents[COMPOSE]["services"]
    if "./deploy/prometheus:/etc/prometheus:ro" not in services["prometheus"]["volumes"]:
        yield "prometheus does not get deploy/prometheus"
    for config in yaml.safe_load((world.repository / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]:
        for found in config["dns_sd_configs"]:
            for name in found["names"]:
                listens = services[name]["environment"]["CLAIM_METRICS_LISTEN"]
                if listens != f"0.0.0.0:{found['port']}":
                    yield f"Prometheus asks port {found['port']} of {name}, which is on {listens}"
