// The client against a server that says what the real one cannot be made to say.

import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KeepAliveRequest__Output } from "../generated/claim/v1/KeepAliveRequest.js";
import type { KeepAliveResponse } from "../generated/claim/v1/KeepAliveResponse.js";
import type { Status } from "../generated/google/rpc/Status.js";
import { Holder, LOSSES, Refusal, protos, statusType } from "../held-claim.js";
import { connect } from "../holder.js";
import { waitFor } from "./service.js";

const EPOCH = String(2n ** 62n + 1n);
const LEASE = { seconds: 12 };

function status(code: grpc.status, reason: string, domain = "claim.v1"): Status {
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain, metadata: {} };
  return { code, message: reason, details: [info] as unknown as NonNullable<Status["details"]> };
}

/** As it comes out of the wire. */
const received = (status: Status) => new Refusal(statusType.deserialize(statusType.serialize(status)));

function accepted(request: KeepAliveRequest__Output): KeepAliveResponse {
  assert.equal(request.heartbeat?.epoch, EPOCH, "64 bits, without loss");
  assert.equal(request.heartbeat.writeToken, "token");
  assert.ok(BigInt(request.tag) >= 1n);
  return { tag: request.tag, response: { leaseRemaining: LEASE, heartbeatInterval: { seconds: 10 } } };
}

interface Scripted {
  received: number[];
  streams: number;
  requestIds: string[];
  holder: Holder;
}

/** A server that mints anything, after some failures; `answer` answers a heartbeat, or does not. */
async function playing(
  answer: (request: KeepAliveRequest__Output) => KeepAliveResponse | undefined | Promise<KeepAliveResponse>,
  mintFailures: number,
  script: (scripted: Scripted) => Promise<void>,
): Promise<void> {
  const server = new grpc.Server();
  const unused = (_: unknown, callback: grpc.sendUnaryData<never>) => callback({ code: grpc.status.UNIMPLEMENTED });
  const names = ["heartbeat", "heartbeatBatch", "done", "authorizeWrite", "getClaim", "listClaims", "getEntity", "listClaimEvents", "watchClaimEvents"];
  const scripted = { received: [], streams: 0, requestIds: [] } as unknown as Scripted;
  server.addService(protos.claim.v1.ClaimService.service, {
    ...Object.fromEntries(names.map((name) => [name, unused])),
    mint(call: grpc.ServerUnaryCall<{ requestId: string }, unknown>, callback: grpc.sendUnaryData<unknown>) {
      scripted.requestIds.push(call.request.requestId);
      if (scripted.requestIds.length <= mintFailures) return callback({ code: grpc.status.UNAVAILABLE });
      const claim = { consumerId: "w", epoch: EPOCH, leaseTtl: LEASE, leaseRemaining: LEASE };
      return callback(null, { claim, writeToken: "token", heartbeatInterval: { nanos: 300_000_000 } });
    },
    keepAlive(call: grpc.ServerDuplexStream<KeepAliveRequest__Output, KeepAliveResponse>) {
      scripted.streams += 1;
      call.on("data", async (request: KeepAliveRequest__Output) => {
        scripted.received.push(performance.now());
        const said = await answer(request);
        if (said !== undefined) call.write(said);
      });
      call.on("end", () => call.end());
    },
  });
  const credentials = grpc.ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port))),
  );
  scripted.holder = new Holder(() => connect(`127.0.0.1:${port}`));
  try {
    await script(scripted);
  } finally {
    scripted.holder.close();
    server.forceShutdown();
  }
}

for (const [reason, code] of Object.entries(LOSSES)) {
  test(`${reason} with its code is a loss`, () => assert.ok(received(status(code, reason)).isLoss));
}

const noLosses: Status[] = [
  { code: grpc.status.UNAVAILABLE },
  { code: grpc.status.FAILED_PRECONDITION, message: "CLAIM_EXPIRED" },
  status(grpc.status.FAILED_PRECONDITION, "CLAIM_EXPIRED", "proxy.example"),
  status(grpc.status.UNAVAILABLE, "CLAIM_EXPIRED"),
  status(grpc.status.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
  status(grpc.status.DEADLINE_EXCEEDED, "TIMED_OUT"),
  status(grpc.status.INTERNAL, "INTERNAL"),
  status(grpc.status.UNAUTHENTICATED, "UNAUTHENTICATED"),
];
for (const error of noLosses) {
  test(`${JSON.stringify(error)} is no loss`, () =>
    playing((request) => ({ tag: request.tag, error }), 0, async ({ holder, received }) => {
      const held = await holder.mint("/a", "w");
      await waitFor("two more heartbeats after the failure", () => received.length > 2);
      assert.equal(held.lost, undefined);
    }));
}

test("the lease is counted from sending", async () => {
  const late = async (request: KeepAliveRequest__Output) => {
    await sleep(1000); // The answer is on its way for so long.
    return accepted(request);
  };
  await playing(late, 0, async ({ holder, received }) => {
    const held = await holder.mint("/a", "w");
    const mintedUntil = held.writeUntil;
    await waitFor("a renewal", () => held.writeUntil > mintedUntil);
    assert.ok(held.writeUntil <= received[0]! + 12_000 * 0.9);
  });
});

test("an unanswered heartbeat is sent again within 5 s, over another stream", async () => {
  let silent = true;
  await playing((request) => (silent ? undefined : accepted(request)), 0, async (scripted) => {
    const held = await scripted.holder.mint("/a", "w");
    await waitFor("a second heartbeat", () => scripted.received.length > 1);
    assert.ok(scripted.received[1]! - scripted.received[0]! < 5000);
    await waitFor("another stream", () => scripted.streams > 1, 6000);
    silent = false;
    await waitFor("an answer", () => held.nextBeatAt > performance.now() + 5000);
  });
});

test("a push renews nothing, and stops the claim it names", async () => {
  const response = { directive: "HEARTBEAT_DIRECTIVE_STOP" as const, leaseRemaining: { seconds: 600 } };
  await playing(() => ({ tag: 0, consumerId: "w", epoch: EPOCH, response }), 0, async ({ holder }) => {
    const held = await holder.mint("/a", "w");
    const mintedUntil = held.writeUntil;
    await waitFor("the push", () => held.stopRequested);
    assert.equal(held.writeUntil, mintedUntil);
  });
});

test("the service config repeats a call with the same request id", async () => {
  await playing(accepted, 2, async ({ holder, requestIds }) => {
    const request = { entityUrl: "/a", consumerId: "w", requestId: "the same" };
    // One call; nothing of ours repeats it.
    await new Promise<void>((resolve, reject) =>
      holder.client.mint(request, { deadline: Date.now() + 10_000 }, (error) => (error ? reject(error) : resolve())),
    );
    assert.deepEqual(requestIds, ["the same", "the same", "the same"]);
  });
});
