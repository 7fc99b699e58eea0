"""Holds claims of the claim service: mints, heartbeats and ends them, and knows when they are lost.

One `Holder` for a process and a tenant. Its heartbeats go over one stream, on threads of their own.
All times are those of `time.monotonic()`. docs/clients.md gives the reasons, by the numbers used here.
"""

from __future__ import annotations

import itertools
import json
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from claim.v1 import claim_service_pb2 as pb
from claim.v1 import claim_service_pb2_grpc as rpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

RESEND_MAX = 4.5  # The contract says 5 s; the rest is for a busy machine.
SILENCE_MAX = 3.0  # Heartbeats are out and nothing comes back: the stream counts as broken.
ATTEMPT_MAX = 5.0  # A call that has no answer by then is better sent again.
PAUSE_FIRST, PAUSE_MAX = 0.1, 2.0  # Before something is tried again; doubled each time.
MARGIN = 0.1  # Share of the lease that is given away, so that a write ends before the lease does.

# 7: what the service calls lost, and the code it says it with. Nothing else is.
LOSSES = {
    "CLAIM_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "CLAIM_SUPERSEDED": grpc.StatusCode.FAILED_PRECONDITION,
    "CLAIM_RELEASED": grpc.StatusCode.FAILED_PRECONDITION,
    "CLAIM_FAILED": grpc.StatusCode.FAILED_PRECONDITION,
    "CLAIM_EXPIRED": grpc.StatusCode.FAILED_PRECONDITION,
    "CLAIM_REVOKED": grpc.StatusCode.FAILED_PRECONDITION,
    "CEILING_REACHED": grpc.StatusCode.FAILED_PRECONDITION,
    "WRITE_TOKEN_INVALID": grpc.StatusCode.PERMISSION_DENIED,
}
REPEATED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refusal(Exception):
    """A status that is not OK. 1: act on `code` and `reason`; the text is for people."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        self.reason, self.metadata, self.retry_after = "", dict[str, str](), None
        for detail in status.details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info) and info.domain == "claim.v1":
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_after = seconds(retry.retry_delay)
        super().__init__(f"{self.code.name} {self.reason or '(no reason)'}: {status.message}")

    @staticmethod
    def of(error: Any) -> Refusal:
        """Of the error of a call; a broken connection is UNAVAILABLE and has no reason."""
        bare = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
        return Refusal(rpc_status.from_call(error) or bare)

    @property
    def is_loss(self) -> bool:
        return LOSSES.get(self.reason) is self.code

    @property
    def may_be_repeated(self) -> bool:
        """2: `RESOURCE_EXHAUSTED` only where the service says when."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.retry_after is not None
        return self.code in REPEATED


def seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9


def connect(target: str, service_config: Path) -> grpc.Channel:
    """A channel of its own connections. Several servers: `ipv4:10.0.0.1:50051,10.0.0.2:50051`."""
    config = json.loads(service_config.read_text())
    config["loadBalancingConfig"] = [{"round_robin": {}}]
    options = [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.use_local_subchannel_pool", 1),
        # By default a channel waits up to two minutes before it connects again.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 2000),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    return grpc.insecure_channel(target, options)


def until_answered(call: Callable[..., Any], request: Any, within: float) -> tuple[Any, float]:
    """2: the answer, and when its request was sent. The same arguments each time, so it is safe."""
    give_up_at, pause = time.monotonic() + within, PAUSE_FIRST
    while True:
        sent_at = time.monotonic()
        try:
            return call(request, timeout=min(ATTEMPT_MAX, give_up_at - sent_at)), sent_at
        except grpc.RpcError as error:
            refusal = Refusal.of(error)
        wait = max(pause * random.uniform(0.5, 1), refusal.retry_after or 0)
        if not refusal.may_be_repeated or time.monotonic() + wait >= give_up_at:
            raise refusal
        time.sleep(wait)
        pause = min(2 * pause, PAUSE_MAX)


class HeldClaim:
    """A claim, and what its holder can know of its lease. Made by `Holder.mint`."""

    def __init__(self, holder: Holder, minted: pb.MintResponse, sent_at: float) -> None:
        self.claim, self.write_token = minted.claim, minted.write_token
        self.lost: Refusal | None = None
        self.lost_event = threading.Event()  # For work that has something to wait for.
        self.write_until = self.sent_at = self.next_beat_at = sent_at
        self.ending = False
        self._holder, self._ttl = holder, seconds(minted.claim.lease_ttl)
        self._stop_since: float | None = None
        self._interval, self._renewed_by = 0.0, sent_at
        self.renewed(sent_at, minted.claim.lease_remaining, minted.heartbeat_interval)
        # 4: a server pushes only what it has heard on the stream.
        self.next_beat_at = min(self.next_beat_at, sent_at + random.uniform(0.5, 1))

    def may_write(self) -> bool:
        """Whether the lease runs for certain. Ask before each write; be done by `write_until`."""
        return self.lost is None and time.monotonic() < self.write_until

    def wait_to_write(self, timeout: float | None = None) -> bool:
        """Waits while writing is suspended. Raises the refusal if the claim is lost."""
        with self._holder.changed:
            self._holder.changed.wait_for(lambda: self.lost or self.may_write(), timeout)
        if self.lost is not None:
            raise self.lost
        return self.may_write()

    @property
    def stop_requested(self) -> bool:
        """Whether to finish at the next checkpoint. It is a request; the claim is still held."""
        return self._stop_since is not None

    def done(self, within: float = 60.0, **fields: Any) -> pb.DoneResponse:
        """Ends the claim. Repeated until it is answered, and heartbeaten until then (8)."""
        claim = self.claim
        request = pb.DoneRequest(
            tenant_id=claim.tenant_id, consumer_id=claim.consumer_id, epoch=claim.epoch,
            write_token=self.write_token, **fields,
        )  # fmt: skip
        self.ending = True
        try:
            answer, _ = until_answered(self._holder.stub.Done, request, within)
        except Refusal:
            self.ending, self.next_beat_at = False, time.monotonic()
            raise
        self.write_until = 0.0
        self.forget()
        return answer

    def forget(self) -> None:
        """Ends the heartbeats. Without a done the lease lapses, and others may take the entity."""
        self._holder.held.pop((self.claim.consumer_id, self.claim.epoch), None)

    # What follows is called by the holder, under its lock.

    def sent(self, now: float) -> None:
        self.sent_at, self.next_beat_at = now, now + min(self._interval, RESEND_MAX)  # 5

    def renewed(self, sent_at: float, remaining: Duration, interval: Duration, stop: bool = False) -> None:
        if sent_at < self._renewed_by:
            return  # 6: the answer to the heartbeat that was sent last counts.
        # It was given after that heartbeat was sent, so the lease runs at least so long from there.
        self.write_until = sent_at + min(seconds(remaining), self._ttl) - MARGIN * self._ttl
        self._renewed_by = sent_at
        if stop:
            self._stop_since = self._stop_since or time.monotonic()
        elif self._stop_since is not None and sent_at > self._stop_since:
            self._stop_since = None  # Only what was asked after the request can withdraw it.
        if sent_at >= self.sent_at:  # Else a later one is out.
            self._interval = max(min(seconds(interval), self._ttl / 2), 0.1)
            self.next_beat_at = sent_at + self._interval

    def refused(self, sent_at: float, refusal: Refusal) -> None:
        if self.ending and refusal.reason in ("CLAIM_RELEASED", "CLAIM_FAILED"):
            self.next_beat_at = float("inf")  # By our own done, which is being answered.
        elif refusal.is_loss:
            self.lost = refusal
            self.lost_event.set()
        elif sent_at == self.sent_at:
            wait = max(random.uniform(0.2, 0.4), refusal.retry_after or 0)
            self.next_beat_at = min(time.monotonic() + wait, sent_at + RESEND_MAX)

    def stop_pushed(self) -> None:
        self._stop_since = time.monotonic()


class Holder:
    """Holds any number of claims of one tenant; `connect` makes a channel."""

    def __init__(self, connect: Callable[[], grpc.Channel], tenant_id: str = "") -> None:
        self.changed = threading.Condition()
        self._connect, self._channel, self._tenant_id = connect, connect(), tenant_id
        self.stub = rpc.ClaimServiceStub(self._channel)
        self.held: dict[tuple[str, int], HeldClaim] = {}
        self._tags = itertools.count(1)  # 4: 0 is the server's.
        self._flights: dict[int, tuple[HeldClaim, float]] = {}
        self._outbox: Any = None  # Of the open stream.
        self._call: Any = None
        self._heard_at = 0.0
        self._closed = threading.Event()
        for work in (self._keep_streams, self._send_heartbeats):
            threading.Thread(target=work, name="heartbeats", daemon=True).start()

    def mint(self, entity_url: str, consumer_id: str, within: float = 30.0, **fields: Any) -> HeldClaim:
        """3: one request id for the mint and all its repetitions; the last answer counts."""
        request = pb.MintRequest(
            tenant_id=self._tenant_id, entity_url=entity_url, consumer_id=consumer_id,
            request_id=uuid.uuid4().hex, **fields,
        )  # fmt: skip
        minted, sent_at = until_answered(self.stub.Mint, request, within)
        held = HeldClaim(self, minted, sent_at)
        with self.changed:
            self.held[held.claim.consumer_id, held.claim.epoch] = held
            self.changed.notify_all()
        return held

    def close(self) -> None:
        self._closed.set()
        with self.changed:
            if self._call is not None:
                self._call.cancel()
            self.changed.notify_all()
        self._channel.close()

    def _keep_streams(self) -> None:
        """Opens a stream, over a connection of its own, reads it to its end, opens the next."""
        pause = PAUSE_FIRST
        while not self._closed.is_set():
            outbox: Any = queue.SimpleQueue()
            with self._connect() as channel:
                call = rpc.ClaimServiceStub(channel).KeepAlive(iter(outbox.get, None))
                with self.changed:
                    self._call, self._outbox = call, outbox
                    for held in self.held.values():
                        held.next_beat_at = time.monotonic()  # 5: it was not heard of here.
                    self.changed.notify_all()
                try:
                    for answer in call:
                        pause = PAUSE_FIRST
                        self._take(answer)
                except grpc.RpcError:
                    pass  # 7: that a stream ends says nothing of any claim.
                with self.changed:
                    self._outbox = None
                    self._flights.clear()
                outbox.put(None)
            self._closed.wait(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, PAUSE_MAX)

    def _send_heartbeats(self) -> None:
        with self.changed:
            while not self._closed.is_set():
                now = time.monotonic()
                held = [held for held in self.held.values() if held.lost is None]
                for due in held:
                    if self._outbox is not None and due.next_beat_at <= now:
                        self._send(due, now)
                if self._flights and now >= self._heard_at + SILENCE_MAX:
                    self._call.cancel()
                    self._flights.clear()
                silence = [self._heard_at + SILENCE_MAX] if self._flights else []
                wake_at = min([now + 1, *silence, *(one.next_beat_at for one in held)])
                self.changed.wait(max(wake_at - now, 0.01))

    def _send(self, held: HeldClaim, now: float) -> None:
        if not self._flights:
            self._heard_at = now
        tag, claim = next(self._tags), held.claim
        self._flights[tag] = (held, now)
        heartbeat = pb.HeartbeatRequest(
            tenant_id=claim.tenant_id, consumer_id=claim.consumer_id, epoch=claim.epoch,
            write_token=held.write_token,
        )  # fmt: skip
        held.sent(now)
        self._outbox.put(pb.KeepAliveRequest(tag=tag, heartbeat=heartbeat))

    def _take(self, answer: pb.KeepAliveResponse) -> None:
        with self.changed:
            self._heard_at = now = time.monotonic()
            held, sent_at = self._flights.pop(answer.tag, (None, now))
            if answer.tag == 0:  # A push, which names the claim and renews nothing.
                held = self.held.get((answer.consumer_id, answer.epoch))
            if held is None or held.lost is not None:
                return
            response = answer.response
            if answer.HasField("error"):
                held.refused(sent_at, Refusal(answer.error))
                if held.lost is not None:
                    held.forget()
            elif answer.tag == 0:
                held.stop_pushed()
            else:
                stop = response.directive == pb.HEARTBEAT_DIRECTIVE_STOP
                held.renewed(sent_at, response.lease_remaining, response.heartbeat_interval, stop)
            self.changed.notify_all()
