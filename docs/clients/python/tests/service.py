"""Servers of the claim service for the tests, and waiting with a bound."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
SERVICE_CONFIG = REPOSITORY / "proto/claim/v1/service_config.json"
PROGRAMS = Path(os.environ.get("CLAIM_PROGRAMS", REPOSITORY / "target/debug"))
PATIENCE = 30.0


class Server:
    """A `claim-server serve` on the database of DATABASE_URL."""

    def __init__(self) -> None:
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Starts it, the second time where it was before, and waits until it is ready."""
        settings = {"CLAIM_LISTEN": self.address, "CLAIM_METRICS_LISTEN": "127.0.0.1:0", "RUST_LOG": "off"}
        self._process = subprocess.Popen(
            [PROGRAMS / "claim-server", "serve"], env=os.environ | settings, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert "http://" in ready, "the server did not start"
        self.address = ready.strip().rpartition("http://")[2]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Reaper:
    """A `claim-reaper` on the same database, with a pass each half second."""

    def __init__(self) -> None:
        settings = {"CLAIM_REAPER_INTERVAL": "500ms", "CLAIM_METRICS_LISTEN": "127.0.0.1:0", "RUST_LOG": "off"}
        self._process = subprocess.Popen([PROGRAMS / "claim-reaper"], env=os.environ | settings)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def wait_for(what: str, condition: Callable[[], object], within: float = PATIENCE) -> None:
    give_up_at = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up_at, f"in vain waited for: {what}"
        time.sleep(0.01)


def holds_for(what: str, condition: Callable[[], object], length: float) -> None:
    """That nothing happens can only be seen by looking on for a while."""
    end = time.monotonic() + length
    while time.monotonic() < end:
        assert condition(), what
        time.sleep(0.01)
