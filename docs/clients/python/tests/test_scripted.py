"""The client against a server that says what the real one cannot be made to say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from claim.v1 import claim_pb2
from claim.v1 import claim_service_pb2 as pb
from claim.v1 import claim_service_pb2_grpc as rpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from held_claim import LOSSES, Holder, Refusal, connect
from service import SERVICE_CONFIG, wait_for

LEASE = Duration(seconds=12)


def status(code: grpc.StatusCode, reason: str, domain: str = "claim.v1") -> status_pb2.Status:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    return status_pb2.Status(code=code.value[0], details=[detail])


class Scripted(rpc.ClaimServiceServicer):
    """Mints anything; `answer` answers a heartbeat, or does not."""

    def __init__(self, answer: Callable[[pb.KeepAliveRequest], pb.KeepAliveResponse | None]) -> None:
        self.answer = answer
        self.received: list[float] = []
        self.streams = 0
        self.mint_failures = 0
        self.request_ids: list[str] = []

    def Mint(self, request: pb.MintRequest, context: Any) -> pb.MintResponse:
        self.request_ids.append(request.request_id)
        if len(self.request_ids) <= self.mint_failures:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        claim = claim_pb2.Claim(consumer_id="w", epoch=2**62 + 1, lease_ttl=LEASE, lease_remaining=LEASE)
        return pb.MintResponse(claim=claim, write_token="token", heartbeat_interval=Duration(nanos=300_000_000))

    def KeepAlive(self, requests: Iterator[pb.KeepAliveRequest], context: Any) -> Iterator[pb.KeepAliveResponse]:
        self.streams += 1
        for request in requests:
            self.received.append(time.monotonic())
            answer = self.answer(request)
            if answer is not None:
                yield answer


def accepted(request: pb.KeepAliveRequest, interval: float = 10) -> pb.KeepAliveResponse:
    assert request.heartbeat.epoch == 2**62 + 1, "64 bits, without loss"
    assert request.heartbeat.write_token == "token"
    assert request.tag >= 1
    response = pb.HeartbeatResponse(lease_remaining=LEASE)
    response.heartbeat_interval.FromNanoseconds(int(interval * 1e9))
    return pb.KeepAliveResponse(tag=request.tag, response=response)


@contextmanager
def playing(scripted: Scripted) -> Iterator[Holder]:
    server = grpc.server(ThreadPoolExecutor(8))
    rpc.add_ClaimServiceServicer_to_server(scripted, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    holder = Holder(lambda: connect(f"127.0.0.1:{port}", SERVICE_CONFIG))
    try:
        yield holder
    finally:
        holder.close()
        server.stop(0)


@pytest.mark.parametrize("reason", LOSSES)
def test_a_reason_of_the_service_with_its_code_is_a_loss(reason: str) -> None:
    assert Refusal(status(LOSSES[reason], reason)).is_loss


@pytest.mark.parametrize(
    "no_loss",
    [
        status_pb2.Status(code=grpc.StatusCode.UNAVAILABLE.value[0]),
        status_pb2.Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message="CLAIM_EXPIRED"),
        status(grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_EXPIRED", domain="proxy.example"),
        status(grpc.StatusCode.UNAVAILABLE, "CLAIM_EXPIRED"),
        status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        status(grpc.StatusCode.DEADLINE_EXCEEDED, "TIMED_OUT"),
        status(grpc.StatusCode.INTERNAL, "INTERNAL"),
        status(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    ],
    ids=str,
)
def test_anything_else_is_no_loss(no_loss: status_pb2.Status) -> None:
    scripted = Scripted(lambda request: pb.KeepAliveResponse(tag=request.tag, error=no_loss))
    with playing(scripted) as holder:
        held = holder.mint("/a", "w")
        wait_for("two more heartbeats after the failure", lambda: len(scripted.received) > 2)
        assert held.lost is None


def test_the_lease_is_counted_from_sending() -> None:
    delay = 1.0

    def answer(request: pb.KeepAliveRequest) -> pb.KeepAliveResponse:
        time.sleep(delay)  # The answer is on its way for so long.
        return accepted(request)

    scripted = Scripted(answer)
    with playing(scripted) as holder:
        held = holder.mint("/a", "w")
        minted_until = held.write_until
        wait_for("a renewal", lambda: held.write_until > minted_until)
        assert held.write_until <= scripted.received[0] + 12 * 0.9


def test_an_unanswered_heartbeat_is_sent_again_within_5_s_over_another_stream() -> None:
    silent = threading.Event()
    silent.set()
    scripted = Scripted(lambda request: None if silent.is_set() else accepted(request))
    with playing(scripted) as holder:
        held = holder.mint("/a", "w")
        wait_for("a second heartbeat", lambda: len(scripted.received) > 1)
        assert scripted.received[1] - scripted.received[0] < 5
        wait_for("another stream", lambda: scripted.streams > 1, within=6)
        silent.clear()
        wait_for("an answer", lambda: held.next_beat_at > time.monotonic() + 5)


def test_a_push_renews_nothing_and_stops_the_claim_it_names() -> None:
    def answer(request: pb.KeepAliveRequest) -> pb.KeepAliveResponse:
        response = pb.HeartbeatResponse(directive=pb.HEARTBEAT_DIRECTIVE_STOP, lease_remaining=Duration(seconds=600))
        return pb.KeepAliveResponse(tag=0, consumer_id="w", epoch=2**62 + 1, response=response)

    with playing(Scripted(answer)) as holder:
        held = holder.mint("/a", "w")
        minted_until = held.write_until
        wait_for("the push", lambda: held.stop_requested)
        assert held.write_until == minted_until


def test_the_service_config_repeats_a_call_with_the_same_request_id() -> None:
    scripted = Scripted(accepted)
    scripted.mint_failures = 2
    with playing(scripted) as holder:
        request = pb.MintRequest(entity_url="/a", consumer_id="w", request_id="the same")
        holder.stub.Mint(request, timeout=10)  # One call; nothing of ours repeats it.
        assert scripted.request_ids == ["the same"] * 3


def test_work_that_never_waits_starves_no_heartbeat() -> None:
    scripted = Scripted(lambda request: accepted(request, interval=0.3))
    with playing(scripted) as holder:
        holder.mint("/a", "w")
        wait_for("a heartbeat", lambda: scripted.received)
        before, end = len(scripted.received), time.monotonic() + 2
        while time.monotonic() < end:
            sum(range(1000))
        assert len(scripted.received) >= before + 4
