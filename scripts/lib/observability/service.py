"""A real service for the checks: a database, a server and a reaper of its own, and somebody who uses it."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc
from claim.v1 import claim_admin_service_pb2 as admin
from claim.v1 import claim_admin_service_pb2_grpc as admin_grpc
from claim.v1 import claim_service_pb2 as api
from claim.v1 import claim_service_pb2_grpc as api_grpc
from google.protobuf.duration_pb2 import Duration

PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(what: str, holds, patience: float = PATIENCE):
    """What `holds` gives as soon as that is something."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.2)
    return found


class Program:
    """A program that ends with this one; its output goes to a file."""

    def __init__(self, arguments: list[str], **environment: str):
        self.output = tempfile.NamedTemporaryFile("w+", prefix="claim-observability-")
        self.process = subprocess.Popen(
            arguments, stdout=self.output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )

    def text(self) -> str:
        return Path(self.output.name).read_text(errors="replace")

    def says(self, pattern: str) -> re.Match:
        """Waits until its output matches."""

        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"it ended: {self.text()}")
            return re.search(pattern, self.text())

        return eventually(f"{self.process.args[0]} says {pattern}", look)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Service(Program):
    """`claim-server dev --ephemeral`."""

    def __init__(self, programs: str, **environment: str):
        for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
            os.environ.pop(name, None)
        settings = {
            "CLAIM_LISTEN": "127.0.0.1:0",
            "CLAIM_METRICS_LISTEN": "127.0.0.1:0",
            "CLAIM_LOG_FORMAT": "text",
            "RUST_LOG": "info",
            "NO_COLOR": "1",
        }
        super().__init__([f"{programs}/claim-server", "dev", "--ephemeral"], **settings, **environment)
        self.address = self.says(r" is ready on (\S+)")[1]
        self.server_metrics = self.says(r"probes on (127\S+)")[1]
        self.reaper_metrics = self.says(r"metrics and probes are served on (127\S+)")[1]


class Load:
    """Claims of every fate, over and over, until it is stopped."""

    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address)
        self.claims = api_grpc.ClaimServiceStub(self.channel)
        self.admin = admin_grpc.ClaimAdminServiceStub(self.channel)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.failure = None

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.channel.close()

    def run(self):
        try:
            number = 0
            while not self.stop.is_set():
                number += 1
                self.round(number)
        except grpc.RpcError as error:
            self.failure = error
            print(error, file=sys.stderr)

    def goes_on(self) -> bool:
        """True; whoever waits for what it does need not wait for ever."""
        assert self.failure is None, f"the load has ended: {self.failure}"
        return True

    def mint(self, entity: str, consumer: str, **fields) -> api.MintResponse:
        return self.claims.Mint(api.MintRequest(entity_url=entity, consumer_id=consumer, **fields))

    def round(self, number: int):
        entity = f"/load/{number}"
        minted = self.mint(entity, f"a{number}")
        beat = api.HeartbeatRequest(consumer_id=f"a{number}", epoch=1)
        self.claims.Heartbeat(beat)
        self.claims.HeartbeatBatch(api.HeartbeatBatchRequest(heartbeats=[beat, beat]))
        list(self.claims.KeepAlive(iter([api.KeepAliveRequest(tag=1, heartbeat=beat)])))
        self.claims.AuthorizeWrite(
            api.AuthorizeWriteRequest(stream_path=f"{entity}/main", write_token=minted.write_token)
        )
        try:
            self.mint(entity, f"b{number}")
        except grpc.RpcError as refusal:
            assert refusal.code() is grpc.StatusCode.ALREADY_EXISTS, refusal
        newer = self.mint(entity, f"c{number}", supersede=True).claim
        self.claims.GetEntity(api.GetEntityRequest(entity_url=entity))
        self.claims.Done(api.DoneRequest(consumer_id=f"a{number}", epoch=1))
        failed = api.DONE_OUTCOME_FAILED
        self.claims.Done(api.DoneRequest(consumer_id=f"c{number}", epoch=newer.epoch, outcome=failed))
        self.mint(f"/revoked/{number}", f"d{number}")
        self.admin.RevokeClaim(admin.RevokeClaimRequest(consumer_id=f"d{number}", epoch=1))
        # One that nobody finishes: the reaper expires it, some seconds after its second is over.
        if number % 10 == 0:
            self.mint(f"/lapsed/{number}", f"e{number}", lease_ttl=Duration(seconds=1))
