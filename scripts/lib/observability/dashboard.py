"""Runs every query of the dashboard, and every alert, against a real Prometheus that scrapes a real service under load."""

import json
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml
from service import Load, Program, Service, eventually, free_port

RULES = Path("deploy/prometheus/claim-rules.yml").resolve()
DASHBOARD = Path("deploy/grafana/claim-service.json")
# What Grafana would put there, for scrapes every second.
RATE_INTERVAL = "15s"


class Prometheus(Program):
    def __init__(self, folder: str, targets: dict[str, str]):
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": scrapes,
        }
        Path(folder, "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
        )
        self.says("Server is ready to receive web requests")

    def ask(self, path: str, **parameters: str):
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                answer = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert answer["status"] == "success", answer
        return answer["data"]

    def numbers(self, expression: str) -> list[float]:
        """The values of all series; none of what is no number."""
        series = self.ask("query", query=expression)["result"]
        values = [float(one["value"][1]) for one in series]
        return [value for value in values if value == value]


def queries() -> list[tuple[str, str]]:
    """Title and expression of every target of every panel, and of the annotations."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", RATE_INTERVAL))
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def rules(prometheus: Prometheus) -> list[dict]:
    return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def is_well(prometheus: Prometheus, name: str) -> bool:
    (rule,) = (rule for rule in rules(prometheus) if rule["name"] == name)
    return rule["health"] == "ok" and rule["state"] != "firing"


def main() -> int:
    passed, failed = 0, 0

    def check(what: str, holds) -> None:
        nonlocal passed, failed
        try:
            eventually(what, holds)
            passed += 1
            print(f"ok: {what}")
        except AssertionError as error:
            failed += 1
            print(f"FAILED: {what}: {error}")

    with tempfile.TemporaryDirectory() as folder, Service(sys.argv[1]) as service:
        targets = {"claim-server": service.server_metrics, "claim-reaper": service.reaper_metrics}
        with Prometheus(folder, targets) as prometheus, Load(service.address) as load:
            check("both programs are scraped", lambda: sum(prometheus.numbers("up")) == 2)
            for title, expression in queries():
                assert "$" not in expression, f"a variable that this test does not know: {expression}"
                check(f"{title}: {expression}", lambda query=expression: load.goes_on() and prometheus.numbers(query))
            annotations = json.loads(DASHBOARD.read_text())["annotations"]["list"]
            for one in annotations:
                # Nothing is wrong, so there is nothing to be shown.
                check(f"no alert: {one['expr']}", lambda query=one["expr"]: prometheus.numbers(query) == [])
            names = [rule["name"] for rule in rules(prometheus)]
            for name in names:
                check(f"{name} is evaluated and does not fire", lambda name=name: is_well(prometheus, name))
            check("eight alerts", lambda: len(names) == 8)
            check("nobody was turned away", lambda: load.failure is None)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


sys.exit(main())
