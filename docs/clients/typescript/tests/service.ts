// Servers of the claim service for the tests, and waiting with a bound.

import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ClaimAdminServiceClient } from "../generated/claim/v1/ClaimAdminService.js";
import { protos } from "../held-claim.js";

const repository = fileURLToPath(new URL("../../../../../", import.meta.url));
const programs = process.env.CLAIM_PROGRAMS ?? `${repository}target/debug`;

/** A `claim-server serve` on the database of DATABASE_URL. */
export class Server {
  address = "127.0.0.1:0";
  private process: ChildProcess | undefined;

  static async started(): Promise<Server> {
    const server = new Server();
    await server.start();
    return server;
  }

  /** Starts it, the second time where it was before, and waits until it is ready. */
  async start(): Promise<void> {
    const settings = { CLAIM_LISTEN: this.address, CLAIM_METRICS_LISTEN: "127.0.0.1:0", RUST_LOG: "off" };
    const env = { ...process.env, ...settings };
    const child = spawn(`${programs}/claim-server`, ["serve"], { env, stdio: ["ignore", "pipe", "inherit"] });
    this.process = child;
    const [ready] = (await once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(30_000) })) as [string];
    this.address = ready.split("http://")[1] ?? assert.fail("no address in the ready line");
  }

  async kill(): Promise<void> {
    await end(this.process!);
  }

  freeze(): void {
    this.process!.kill("SIGSTOP");
  }

  thaw(): void {
    this.process!.kill("SIGCONT");
  }
}

/** A `claim-reaper` on the same database, with a pass each half second; the answer ends it. */
export function startReaper(): () => Promise<void> {
  const settings = { CLAIM_REAPER_INTERVAL: "500ms", CLAIM_METRICS_LISTEN: "127.0.0.1:0", RUST_LOG: "off" };
  const child = spawn(`${programs}/claim-reaper`, { env: { ...process.env, ...settings }, stdio: "ignore" });
  return () => end(child);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Calls of operators, as promises. */
export function operator(target: string): {
  revoke(consumerId: string, epoch: string, reason: string): Promise<unknown>;
  signal(entityUrl: string, signal: "ENTITY_SIGNAL_STOP" | "ENTITY_SIGNAL_CONT"): Promise<unknown>;
} {
  const client: ClaimAdminServiceClient = new protos.claim.v1.ClaimAdminService(target, grpc.credentials.createInsecure());
  const settled = (call: (callback: (error: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
  return {
    revoke: (consumerId, epoch, reason) => settled((done) => client.revokeClaim({ consumerId, epoch, reason }, done)),
    signal: (entityUrl, signal) => settled((done) => client.signalEntity({ entityUrl, signal }, done)),
  };
}

export async function waitFor(what: string, condition: () => unknown, within = 30_000): Promise<void> {
  const giveUpAt = performance.now() + within;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpAt, `in vain waited for: ${what}`);
    await sleep(10);
  }
}

/** That nothing happens can only be seen by looking on for a while. */
export async function holdsFor(what: string, condition: () => unknown, length: number): Promise<void> {
  const end = performance.now() + length;
  while (performance.now() < end) {
    assert.ok(condition(), what);
    await sleep(10);
  }
}
