"""Checks the manifests by every rule, and every rule by the mistakes that it must find.

    check.py REPOSITORY WORLD=RENDERED.yaml…
    check.py --write REPOSITORY          the PrometheusRule anew, from deploy/prometheus/claim-rules.yml

Each WORLD is what kustomize makes of an overlay. The last line is the sum over all rules and mistakes.
"""

import sys
from pathlib import Path

import compose  # noqa: F401  registers its rules
import pods  # noqa: F401
import workloads  # noqa: F401
import yaml
from world import RULES, Rule, World, name_of

RULE_FILE = "deploy/kubernetes/components/monitoring/prometheus-rule.yaml"
RULE_HEAD = """\
# Made from deploy/prometheus/claim-rules.yml by `scripts/test-manifests --write`, and compared with it by every run of
# scripts/test-manifests: kustomize reads no file outside of its folder. Change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: claims
spec:
"""


def world(name: str, rendered: Path, repository: Path) -> World:
    """What kustomize rendered, and beside it the compose file."""
    documents = {name_of(document): document for document in yaml.safe_load_all(rendered.read_text()) if document}
    documents["Compose/claims"] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return World(name, repository, documents)


def contradictions(rule: Rule, somewhere: World) -> list[str]:
    """What a rule finds wrong; what it does not understand is wrong too."""
    try:
        return list(rule.contradictions(somewhere))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        return [f"cannot be checked: {error!r}"]


def check(worlds: list[World]) -> tuple[int, int]:
    """How many rules hold and mistakes are found, and how many are not."""
    passed = failed = 0
    for rule in RULES:
        problems = [f"{one.name}: {problem}" for one in worlds for problem in contradictions(rule, one)]
        missed = []
        for mistake in rule.mistakes:
            changed = [one for somewhere in worlds if (one := somewhere.changed(mistake)) is not None]
            if not any(contradictions(rule, one) for one in changed):
                missed.append(f"does not find the mistake {mistake}")
        passed += (not problems) + len(rule.mistakes) - len(missed)
        failed += bool(problems) + len(missed)
        print("FAILED " if problems or missed else "ok     ", rule.name, f"({len(rule.mistakes)} mistakes found)")
        for problem in [*problems, *missed]:
            print("        ", problem)
    return passed, failed


def write(repository: Path) -> None:
    rules = (repository / "deploy/prometheus/claim-rules.yml").read_text()
    lines = [f"  {line}".rstrip() for line in rules.splitlines() if not line.startswith("#")]
    (repository / RULE_FILE).write_text(RULE_HEAD + "\n".join(lines) + "\n")


def main() -> int:
    if sys.argv[1] == "--write":
        write(Path(sys.argv[2]))
        return 0
    repository = Path(sys.argv[1])
    named = [argument.split("=", 1) for argument in sys.argv[2:]]
    passed, failed = check([world(name, Path(rendered), repository) for name, rendered in named])
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
