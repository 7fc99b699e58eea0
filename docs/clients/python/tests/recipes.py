"""The grpcurl recipes of docs/clients.md: reads them, runs them, compares what they answer."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

ADDRESS = "127.0.0.1:50051"
# Different in each run. All other values are those of the page.
VOLATILE = {
    "writeToken", "leaseRemaining", "heartbeatInterval", "takeableInMs", "nextPageToken", "sequence",
    "claimTime", "lastHeartbeatTime", "leaseExpireTime", "endTime", "eventTime", "startTime",
    "lastClaimTime", "lastEndTime", "lastCompletedTime", "liveClaims", "dueNow", "oldestDueAge",
}  # fmt: skip
# Values of an answer that a later recipe repeats.
REPEATED = {"writeToken", "nextPageToken", "sequence"}


@dataclass
class Recipe:
    command: str
    answer: str

    def __str__(self) -> str:
        return (re.findall(r"\w+/\w+", self.command) or ["list"])[-1]


def read(page: str) -> list[Recipe]:
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.M | re.S):
        match = re.match(r"\$ ((?:.*\\\n)*.*\n)", block)
        if match and "grpcurl " in match[1]:
            found.append(Recipe(match[1].rstrip("\n"), block[match.end() :]))
    return found


def run(command: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    refused = "ERROR:" in ended.stdout
    ended_by_timeout = command.startswith("timeout ") and ended.returncode == 124
    assert ended_by_timeout or (ended.returncode != 0) == refused, ended.stdout
    return ended.stdout


def documents(answer: str) -> list[Any]:
    decoder, found, rest = json.JSONDecoder(), [], answer.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def comparable(answer: str) -> Any:
    if "ERROR:" in answer:
        return re.findall(r"^  (?:Code|Message): .*$", answer, re.M)
    if not answer.startswith("{"):
        return answer
    found = [stable(document) for document in documents(answer) if "checkpoint" not in document]
    return sorted(found, key=lambda document: document.get("tag", ""))  # Answers come in any order.


def stable(value: Any) -> Any:
    if isinstance(value, list):
        return [stable(item) for item in value]
    if isinstance(value, dict):
        # Counts of the reaper are left out where they are zero.
        counts = {"liveClaims", "dueNow", "oldestDueAge", "expired"}
        return {k: "…" if k in VOLATILE else stable(v) for k, v in value.items() if k not in counts}
    return value


def repeated(documented: Any, actual: Any) -> dict[str, str]:
    """What the page's values of this kind were in this run."""
    found: dict[str, str] = {}
    if isinstance(documented, list) and isinstance(actual, list):
        for one, other in zip(documented, actual):
            found |= repeated(one, other)
    elif isinstance(documented, dict) and isinstance(actual, dict):
        for key in documented.keys() & actual.keys():
            if key in REPEATED:
                found[documented[key]] = actual[key]
            else:
                found |= repeated(documented[key], actual[key])
    return found


def in_this_run(command: str, address: str, values: dict[str, str]) -> str:
    for documented, actual in values.items():
        given = rf'("(?:write_token|page_token|after_sequence)": )"{re.escape(documented)}"'
        command = re.sub(given, rf'\g<1>"{actual}"', command)
    return command.replace(ADDRESS, address)
