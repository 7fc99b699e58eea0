"""Claims an entity, writes a few lines to its stream under the claim, and says done.

    python holder.py --target 127.0.0.1:50051 --entity /chat/a
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from claim.v1 import claim_pb2
from claim.v1 import claim_service_pb2 as pb
from claim.v1 import claim_service_pb2_grpc as rpc
from google.protobuf.duration_pb2 import Duration
from held_claim import Holder, Refusal, connect, until_answered

SERVICE_CONFIG = Path(__file__).resolve().parents[3] / "proto/claim/v1/service_config.json"


class Store:
    """The side that is written to. It asks before each write, and refuses writers that are late."""

    def __init__(self, stub: rpc.ClaimServiceStub) -> None:
        self._stub, self._highest_fence = stub, dict[str, int]()
        self.lines: list[str] = []

    def write(self, stream_path: str, write_token: str, line: str) -> None:
        request = pb.AuthorizeWriteRequest(stream_path=stream_path, write_token=write_token)
        allowed, _ = until_answered(self._stub.AuthorizeWrite, request, within=30)
        if allowed.fence < self._highest_fence.get(stream_path, 0):
            raise PermissionError("a newer claim has written already")
        self._highest_fence[stream_path] = allowed.fence
        self.lines.append(line)


def work(holder: Holder, store: Store, entity_url: str, consumer_id: str, steps: int, ttl: int) -> str:
    held = holder.mint(entity_url, consumer_id, lease_ttl=Duration(seconds=ttl))
    try:
        written = 0
        while written < steps and not held.stop_requested:
            held.wait_to_write()  # Returns at once, but while writing is suspended.
            try:
                store.write(held.claim.stream_path, held.write_token, f"line {written + 1}")
            except Refusal as refusal:
                if refusal.reason != "LEASE_LAPSED":
                    raise
            else:
                written += 1  # A lapsed lease is renewed by the next heartbeat.
            held.lost_event.wait(0.2)  # The work itself; a loss ends it at once.
    except Refusal as refusal:
        held.forget()
        if refusal.reason not in ("CLAIM_SUPERSEDED", "CEILING_REACHED"):
            return f"lost: {refusal.reason}"
    done = held.done(acked_streams=[claim_pb2.AckedStream(path=f"{entity_url}/in", offset=str(written))])
    return f"{claim_pb2.ClaimState.Name(done.claim.state)} after {written} lines"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", default="127.0.0.1:50051")
    parser.add_argument("--entity", default="/chat/a")
    parser.add_argument("--consumer", default=f"w_{time.time_ns()}")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--ttl", type=int, default=30, help="length of the lease in seconds")
    args = parser.parse_args()
    holder = Holder(lambda: connect(args.target, SERVICE_CONFIG))
    try:
        print(work(holder, Store(holder.stub), args.entity, args.consumer, args.steps, args.ttl))
    finally:
        holder.close()


if __name__ == "__main__":
    main()
