"""What the manifests have to agree with, read from where it is written: the programs' sources and the Dockerfile."""

import re
from functools import cache
from pathlib import Path

# Where the settings of each program stand.
FOLDERS = {
    "claim-server": ["services/claim-server/src", "services/claims/src/program"],
    "claim-reaper": ["worker/src", "services/claims/src/program"],
}
# Settings that are no flags: services/claims/src/program reads them from the environment.
WITHOUT_FLAGS = {"DATABASE_URL_FILE", "RUST_LOG"}


@cache
def sources(repository: Path, program: str) -> str:
    """The sources of a program."""
    return "\n".join(
        path.read_text() for folder in FOLDERS[program] for path in sorted((repository / folder).rglob("*.rs"))
    )


@cache
def settings_of(repository: Path, program: str) -> frozenset[str]:
    """The environment variables of a program, without those that hold a secret themselves."""
    declared = re.findall(r'\benv = "(CLAIM_[A-Z_]+)"', sources(repository, program))
    return frozenset(declared) | WITHOUT_FLAGS


@cache
def flags_of(repository: Path, program: str) -> frozenset[str]:
    """Its subcommands, and the flags that are fields under `#[arg(long…)]`."""
    text = sources(repository, program)
    fields = re.findall(r"#\[arg\(\s*long\b[^\]]*\]\s*(?:pub(?:\([a-z]+\))? )?([a-z_]+):", text)
    commands = re.findall(r"^    ([A-Z][a-z]+)(?:\(|,|\s*\{)", text, re.MULTILINE)
    return frozenset("--" + name.replace("_", "-") for name in fields) | {name.lower() for name in commands}


@cache
def probe_paths(repository: Path) -> frozenset[str]:
    """What the programs answer over HTTP."""
    text = (repository / "services/claims/src/program/probes.rs").read_text()
    return frozenset(re.findall(r'route\("([^"]+)"', text))


@cache
def dockerfile(repository: Path) -> str:
    """The one Dockerfile."""
    return (repository / "Dockerfile").read_text()


def image_user(repository: Path) -> int:
    """The number of the user of the images."""
    found = re.search(r"^USER (\d+):\1$", dockerfile(repository), re.MULTILINE)
    if found is None:
        raise ValueError("Dockerfile: no USER by number")
    return int(found[1])


def targets(repository: Path) -> set[str]:
    """The stages that somebody can ask for."""
    return set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile(repository), re.MULTILINE))
