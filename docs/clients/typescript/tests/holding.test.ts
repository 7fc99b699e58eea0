// The client against the real service. Leases are short, so that time passes quickly.

import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Claim__Output } from "../generated/claim/v1/Claim.js";
import type { Entity__Output } from "../generated/claim/v1/Entity.js";
import { type HeldClaim, Holder, Refusal } from "../held-claim.js";
import { Store, connect, work } from "../holder.js";
import { Server, holdsFor, operator, startReaper, waitFor } from "./service.js";

const PUSHED_WITHIN = 3000; // Far below the 10 s between two heartbeats of a lease of 30 s.

let server: Server;
let stopReaper: () => Promise<void>;
let holder: Holder;
let entity: string;
let number = 0;

before(async () => {
  server = await Server.started();
  stopReaper = startReaper();
});
after(async () => {
  await stopReaper();
  await server.kill();
});
beforeEach(() => {
  holder = new Holder(() => connect(server.address));
  entity = `/typescript/${++number}`;
});
afterEach(() => holder.close());

function read(held: HeldClaim): Promise<Claim__Output> {
  const { consumerId, epoch } = held.claim;
  return new Promise((resolve, reject) =>
    holder.client.getClaim({ consumerId, epoch }, (error, answer) => (error ? reject(error) : resolve(answer!.claim!))),
  );
}

/** Pushes concern only claims that have sent a heartbeat on the stream. */
async function heard(held: HeldClaim): Promise<void> {
  held.nextBeatAt = 0;
  await waitFor("a heartbeat", async () => (await read(held)).lastHeartbeatTime !== null);
}

async function lost(held: HeldClaim, within: number): Promise<Refusal> {
  await waitFor("the loss", () => held.lost, within);
  return held.lost!;
}

test("a claim is minted, written under and done", async () => {
  const store = new Store(holder.client);
  assert.equal(await work(holder, store, entity, "w_1", 3, 2), "CLAIM_STATE_RELEASED after 3 lines");
  assert.deepEqual(store.lines, ["line 1", "line 2", "line 3"]);
  const found = await new Promise<Entity__Output>((resolve, reject) =>
    holder.client.getEntity({ entityUrl: entity }, (error, answer) => (error ? reject(error) : resolve(answer!.entity!))),
  );
  assert.equal(found.state, "ENTITY_STATE_IDLE");
  assert.equal(holder.held.size, 0);
});

test("the program runs", async () => {
  const program = fileURLToPath(new URL("../holder.js", import.meta.url));
  const args = [program, "--target", server.address, "--entity", entity, "--steps", "2"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  assert.equal(stdout, "CLAIM_STATE_RELEASED after 2 lines\n");
});

test("a token is dead after done", async () => {
  const held = await holder.mint(entity, "w_2");
  assert.ok((await held.done()).entityCleared);
  const late = new Store(holder.client).write(held.claim.streamPath, held.writeToken, "late");
  await assert.rejects(late, { reason: "WRITE_TOKEN_INVALID", code: grpc.status.PERMISSION_DENIED });
});

test("an epoch beyond 2^53 keeps its value", async () => {
  const held = await holder.mint(entity, "w_big", { epoch: "9007199254740993", authority: "sub" });
  assert.equal(held.claim.epoch, "9007199254740993");
  await heard(held);
  assert.ok((await held.done()).entityCleared);
});

test("heartbeats keep a claim beyond its first lease", async () => {
  const held = await holder.mint(entity, "w_3", { leaseTtl: { seconds: 1 } });
  await holdsFor("writing is allowed all the time", () => held.mayWrite(), 5000);
  assert.equal((await held.done()).alreadyEnded, false);
});

test("a supersede is told by push, and done is still accepted", async () => {
  const held = await holder.mint(entity, "w_4", { leaseTtl: { seconds: 30 } });
  await heard(held);
  const newer = await holder.mint(entity, "w_5", { supersede: true });
  const refusal = await lost(held, PUSHED_WITHIN);
  assert.equal(refusal.reason, "CLAIM_SUPERSEDED");
  assert.equal(refusal.metadata.superseded_by_consumer_id, "w_5");
  assert.equal(held.signal.reason, refusal);
  await assert.rejects(held.waitToWrite(), refusal);
  assert.equal((await held.done()).entityCleared, false);
  assert.ok(newer.mayWrite());
  await newer.done();
});

test("a revocation is a loss and says why", async () => {
  const held = await holder.mint(entity, "w_6", { leaseTtl: { seconds: 30 } });
  await heard(held);
  await operator(server.address).revoke("w_6", held.claim.epoch, "maintenance");
  const refusal = await lost(held, PUSHED_WITHIN);
  assert.equal(refusal.reason, "CLAIM_REVOKED");
  assert.equal(refusal.metadata.end_reason, "maintenance");
  assert.ok((await held.done()).alreadyEnded);
});

test("a stop is a request that can be withdrawn", async () => {
  const held = await holder.mint(entity, "w_7", { leaseTtl: { seconds: 6 } });
  await heard(held);
  await operator(server.address).signal(entity, "ENTITY_SIGNAL_STOP");
  await waitFor("the push", () => held.stopRequested, 1500);
  assert.ok(held.mayWrite() && held.lost === undefined);
  await operator(server.address).signal(entity, "ENTITY_SIGNAL_CONT");
  await waitFor("its withdrawal by a heartbeat", () => !held.stopRequested);
  await held.done();
});

test("a silent holder is suspended, and lost only when it hears so", async () => {
  const frozen = await Server.started();
  const silent = new Holder(() => connect(frozen.address));
  try {
    const held = await silent.mint(entity, "w_8", { leaseTtl: { seconds: 1 } });
    frozen.freeze();
    await waitFor("the suspension", () => !held.mayWrite());
    assert.equal(await held.waitToWrite(0), false);
    await waitFor("the lapse", () =>
      holder.mint(entity, "w_9").catch((error: Refusal) => assert.equal(error.reason, "ALREADY_CLAIMED")),
    );
    assert.equal(held.lost, undefined, "nobody has told");
    frozen.thaw();
    assert.equal((await lost(held, 20_000)).reason, "CLAIM_EXPIRED");
  } finally {
    silent.close();
    frozen.thaw();
    await frozen.kill();
  }
});

test("an outage longer than the lease suspends, and costs nothing", async () => {
  const held = await holder.mint(entity, "w_10", { leaseTtl: { seconds: 2 } });
  await heard(held);
  await server.kill();
  await waitFor("the suspension", () => !held.mayWrite());
  await holdsFor("it is suspended, not lost", () => held.lost === undefined && !held.mayWrite(), 7000);
  await server.start();
  assert.ok(await held.waitToWrite(20_000), "it comes back by itself");
  await new Store(holder.client).write(held.claim.streamPath, held.writeToken, "after the outage");
  await holdsFor("it stays held", () => held.mayWrite(), 3000);
  assert.ok((await held.done()).entityCleared);
});

test("mint and done are repeated while the server is away", async () => {
  const pending = async <T>(work: Promise<T>): Promise<T> => {
    let settled = false;
    void work.then(() => (settled = true), () => (settled = true));
    await holdsFor("it waits", () => !settled, 2000); // Longer than the service config alone repeats.
    await server.start();
    return work;
  };
  await server.kill();
  const held = await pending(holder.mint(entity, "w_12"));
  await server.kill();
  await pending(held.done());
  assert.equal((await read(held)).state, "CLAIM_STATE_RELEASED");
});

test("a broken connection is no loss", async () => {
  let target = server.address;
  const wandering = new Holder(() => connect(target));
  const held = await wandering.mint(entity, "w_13", { leaseTtl: { seconds: 1 } });
  target = "127.0.0.1:1"; // Nobody listens there.
  wandering["stream"]!.cancel();
  await waitFor("the suspension", () => !held.mayWrite());
  await holdsFor("it is not lost", () => held.lost === undefined, 2000);
  target = server.address;
  assert.ok(await held.waitToWrite(20_000));
  await held.done();
  wandering.close();
});

test("work that blocks the event loop finds its lease over, not lost", async () => {
  const held = await holder.mint(entity, "w_14", { leaseTtl: { seconds: 1 } });
  const end = performance.now() + 1500;
  while (performance.now() < end);
  assert.equal(held.mayWrite(), false);
  assert.ok(await held.waitToWrite(5000));
  await held.done();
});
