"""The client against the real service. The lease is short, so that time passes quickly."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from claim.v1 import claim_admin_service_pb2 as admin
from claim.v1 import claim_admin_service_pb2_grpc as admin_rpc
from claim.v1 import claim_pb2
from claim.v1 import claim_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from held_claim import HeldClaim, Holder, Refusal, connect
from holder import Store, work
from service import SERVICE_CONFIG, Server, holds_for, wait_for

SHORT = Duration(seconds=1)
LONG = Duration(seconds=30)
PUSHED_WITHIN = 3.0  # Far below the 10 s between two heartbeats of a lease of 30 s.


def read(holder: Holder, held: HeldClaim) -> claim_pb2.Claim:
    request = pb.GetClaimRequest(consumer_id=held.claim.consumer_id, epoch=held.claim.epoch)
    return holder.stub.GetClaim(request, timeout=10).claim


def heard(holder: Holder, held: HeldClaim) -> None:
    """Pushes concern only claims that have sent a heartbeat on the stream."""
    held.next_beat_at = 0.0
    with holder.changed:
        holder.changed.notify_all()
    wait_for("a heartbeat", lambda: read(holder, held).HasField("last_heartbeat_time"))


def test_a_claim_is_minted_written_under_and_done(holder: Holder, entity: str) -> None:
    store = Store(holder.stub)
    assert work(holder, store, entity, "w_1", steps=3, ttl=2) == "CLAIM_STATE_RELEASED after 3 lines"
    assert store.lines == ["line 1", "line 2", "line 3"]
    found = holder.stub.GetEntity(pb.GetEntityRequest(entity_url=entity)).entity
    assert found.state == claim_pb2.ENTITY_STATE_IDLE
    assert holder.held == {}


def test_the_program_runs(server: Server, entity: str) -> None:
    program = Path(__file__).parents[1] / "holder.py"
    command = [sys.executable, program, "--target", server.address, "--entity", entity, "--steps", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "CLAIM_STATE_RELEASED after 2 lines\n"), ended.stderr


def test_a_token_is_dead_after_done(holder: Holder, entity: str) -> None:
    held = holder.mint(entity, "w_2")
    assert held.done().entity_cleared
    with pytest.raises(Refusal) as refused:
        Store(holder.stub).write(held.claim.stream_path, held.write_token, "late")
    assert refused.value.reason == "WRITE_TOKEN_INVALID"


def test_heartbeats_keep_a_claim_beyond_its_first_lease(holder: Holder, entity: str) -> None:
    held = holder.mint(entity, "w_3", lease_ttl=SHORT)
    holds_for("writing is allowed all the time", held.may_write, 5.0)
    assert not held.done().already_ended


def test_a_supersede_is_told_by_push_and_done_is_still_accepted(holder: Holder, entity: str) -> None:
    held = holder.mint(entity, "w_4", lease_ttl=LONG)
    heard(holder, held)
    newer = holder.mint(entity, "w_5", supersede=True)
    assert held.lost_event.wait(PUSHED_WITHIN), "the push was not heard"
    assert held.lost is not None and held.lost.reason == "CLAIM_SUPERSEDED"
    assert held.lost.metadata["superseded_by_consumer_id"] == "w_5"
    with pytest.raises(Refusal):
        held.wait_to_write()
    assert not held.done().entity_cleared
    assert newer.may_write()
    newer.done()


def test_a_revocation_is_a_loss_and_says_why(server: Server, holder: Holder, entity: str) -> None:
    held = holder.mint(entity, "w_6", lease_ttl=LONG)
    heard(holder, held)
    with connect(server.address, SERVICE_CONFIG) as channel:
        request = admin.RevokeClaimRequest(consumer_id="w_6", epoch=held.claim.epoch, reason="maintenance")
        admin_rpc.ClaimAdminServiceStub(channel).RevokeClaim(request)
    assert held.lost_event.wait(PUSHED_WITHIN), "the push was not heard"
    assert held.lost is not None and held.lost.reason == "CLAIM_REVOKED"
    assert held.lost.metadata["end_reason"] == "maintenance"
    assert held.done().already_ended


def test_a_stop_is_a_request_that_can_be_withdrawn(server: Server, holder: Holder, entity: str) -> None:
    held = holder.mint(entity, "w_7", lease_ttl=Duration(seconds=6))
    heard(holder, held)
    with connect(server.address, SERVICE_CONFIG) as channel:
        operator = admin_rpc.ClaimAdminServiceStub(channel)
        operator.SignalEntity(admin.SignalEntityRequest(entity_url=entity, signal=admin.ENTITY_SIGNAL_STOP))
        wait_for("the push", lambda: held.stop_requested, within=1.5)
        assert held.may_write() and held.lost is None
        operator.SignalEntity(admin.SignalEntityRequest(entity_url=entity, signal=admin.ENTITY_SIGNAL_CONT))
    wait_for("its withdrawal by a heartbeat", lambda: not held.stop_requested)
    held.done()


def test_a_silent_holder_is_suspended_and_lost_only_when_it_hears_so(holder: Holder, entity: str) -> None:
    frozen, other = Server(), holder
    silent = Holder(lambda: connect(frozen.address, SERVICE_CONFIG))
    try:
        held = silent.mint(entity, "w_8", lease_ttl=SHORT)
        frozen.freeze()
        wait_for("the suspension", lambda: not held.may_write())
        assert not held.wait_to_write(timeout=0) and held.lost is None

        def taken() -> HeldClaim | None:
            try:
                return other.mint(entity, "w_9")
            except Refusal as refusal:
                assert refusal.reason == "ALREADY_CLAIMED"
                return None

        wait_for("the lapse", taken)
        assert held.lost is None, "nobody has told"
        frozen.thaw()
        assert held.lost_event.wait(20)
        assert held.lost is not None and held.lost.reason == "CLAIM_EXPIRED"
    finally:
        silent.close()
        frozen.kill()


def test_an_outage_longer_than_the_lease_suspends_and_costs_nothing(server: Server, entity: str) -> None:
    holder = Holder(lambda: connect(server.address, SERVICE_CONFIG))
    held = holder.mint(entity, "w_10", lease_ttl=Duration(seconds=2))
    heard(holder, held)
    server.kill()
    wait_for("the suspension", lambda: not held.may_write())
    holds_for("it is suspended, not lost", lambda: held.lost is None and not held.may_write(), 7.0)
    server.start()
    assert held.wait_to_write(timeout=20), "it comes back by itself"
    Store(holder.stub).write(held.claim.stream_path, held.write_token, "after the outage")
    assert holder.mint(f"{entity}/other", "w_11").done().entity_cleared
    holds_for("it stays held", held.may_write, 3.0)
    assert held.done().entity_cleared
    holder.close()


def test_mint_and_done_are_repeated_while_the_server_is_away(server: Server, entity: str) -> None:
    holder = Holder(lambda: connect(server.address, SERVICE_CONFIG))
    minted: list[HeldClaim] = []
    server.kill()
    minting = threading.Thread(target=lambda: minted.append(holder.mint(entity, "w_12")))
    minting.start()
    holds_for("it waits", minting.is_alive, 2.0)  # Longer than the service config alone repeats.
    server.start()
    minting.join(30)
    server.kill()
    ending = threading.Thread(target=minted[0].done)
    ending.start()
    holds_for("it waits", ending.is_alive, 2.0)
    server.start()
    ending.join(30)
    assert read(holder, minted[0]).state == claim_pb2.CLAIM_STATE_RELEASED
    holder.close()


def test_a_broken_connection_is_no_loss(server: Server, entity: str) -> None:
    target = server.address
    holder = Holder(lambda: connect(target, SERVICE_CONFIG))
    held = holder.mint(entity, "w_13", lease_ttl=SHORT)
    target = "127.0.0.1:1"  # Nobody listens there.
    with holder.changed:
        holder._call.cancel()
    wait_for("the suspension", lambda: not held.may_write())
    holds_for("it is not lost", lambda: held.lost is None, 2.0)
    target = server.address
    assert held.wait_to_write(timeout=20)
    held.done()
    holder.close()
