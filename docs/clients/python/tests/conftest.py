from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from held_claim import Holder, connect
from service import SERVICE_CONFIG, Reaper, Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server, reaper = Server(), Reaper()
    yield server
    reaper.kill()
    server.kill()


@pytest.fixture
def holder(server: Server) -> Iterator[Holder]:
    holder = Holder(lambda: connect(server.address, SERVICE_CONFIG))
    yield holder
    holder.close()


@pytest.fixture
def entity() -> str:
    return f"/python/{next(_numbers)}"
