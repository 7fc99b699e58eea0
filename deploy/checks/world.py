"""What the rules look at: Kubernetes' objects as kustomize renders them, and the compose file, as plain data."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]

# As a value of a change: the key is taken out.
ABSENT = object()


@dataclass
class World:
    """One way to deploy: documents by kind and name, such as `Deployment/claim-server`."""

    name: str
    repository: Path
    documents: dict[str, Document]

    def of_kind(self, *kinds: str) -> Iterator[Document]:
        return (document for key, document in self.documents.items() if key.split("/")[0] in kinds)

    def pods(self) -> Iterator[tuple[str, Document]]:
        """Everything that starts pods, with the template of these."""
        for document in self.of_kind("Deployment", "Job"):
            yield name_of(document), document["spec"]["template"]
        for document in self.of_kind("CronJob"):
            yield name_of(document), document["spec"]["jobTemplate"]["spec"]["template"]

    def changed(self, change: "Change") -> "World | None":
        """The world with one thing changed; nothing, where the thing is not there."""
        if change.document not in self.documents:
            return None
        documents = copy.deepcopy(self.documents)
        *way, last = change.path.split(".")
        place: Any = documents[change.document]
        for step in way:
            place = place[index(place, step)]
        key = index(place, last)
        if change.value is ABSENT:
            del place[key]
        else:
            place[key] = change.value
        return World(self.name, self.repository, documents)


def index(place: Any, step: str) -> Any:
    """The key of a step: in a list a number, or the name of an item."""
    if not isinstance(place, list):
        return step
    return int(step) if step.isdigit() else [item["name"] for item in place].index(step)


@dataclass(frozen=True)
class Change:
    """A mistake: this value, at this dotted path of this document."""

    document: str
    path: str
    value: Any

    def __str__(self) -> str:
        value = "absent" if self.value is ABSENT else repr(self.value)
        return f"{self.document} {self.path} = {value}"


@dataclass
class Rule:
    """A claim about every world: what contradicts it, and mistakes that it must find."""

    name: str
    contradictions: Callable[[World], Iterator[str]]
    mistakes: list[Change] = field(default_factory=list)


RULES: list[Rule] = []


def rule(name: str, *mistakes: tuple[str, str, Any]) -> Callable[..., Callable[[World], Iterator[str]]]:
    """Makes a rule of a function that yields what contradicts it."""

    def register(function: Callable[[World], Iterator[str]]) -> Callable[[World], Iterator[str]]:
        RULES.append(Rule(name, function, [Change(*mistake) for mistake in mistakes]))
        return function

    return register


def name_of(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def containers(template: Document) -> list[Document]:
    """All containers of a pod, those that come first included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def environment(container: Document) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}


def seconds(length: str) -> float:
    """A length as the programs write it."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if length.endswith(unit):
            return float(length.removesuffix(unit)) * factor
    raise ValueError(length)


def matches(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector selects these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In" or labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
