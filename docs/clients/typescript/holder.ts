// Claims an entity, writes a few lines to its stream under the claim, and says done.
//
//     node built/holder.js --target 127.0.0.1:50051 --entity /chat/a

import * as grpc from "@grpc/grpc-js";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { AuthorizeWriteRequest } from "./generated/claim/v1/AuthorizeWriteRequest.js";
import type { AuthorizeWriteResponse__Output } from "./generated/claim/v1/AuthorizeWriteResponse.js";
import type { ClaimServiceClient } from "./generated/claim/v1/ClaimService.js";
import { Holder, Refusal, options, protos, untilAnswered } from "./held-claim.js";

// As seen from `built`.
const serviceConfig = fileURLToPath(new URL("../../../../proto/claim/v1/service_config.json", import.meta.url));

export function connect(target: string): ClaimServiceClient {
  return new protos.claim.v1.ClaimService(target, grpc.credentials.createInsecure(), options(serviceConfig));
}

/** The side that is written to. It asks before each write, and refuses writers that are late. */
export class Store {
  readonly lines: string[] = [];
  private readonly highestFences = new Map<string, bigint>();

  constructor(private readonly client: ClaimServiceClient) {}

  async write(streamPath: string, writeToken: string, line: string): Promise<void> {
    const call = this.client.authorizeWrite.bind(this.client);
    const request = { streamPath, writeToken };
    const { answer } = await untilAnswered<AuthorizeWriteRequest, AuthorizeWriteResponse__Output>(call, request, 30_000);
    const fence = BigInt(answer.fence);
    if (fence < (this.highestFences.get(streamPath) ?? 0n)) throw new Error("a newer claim has written already");
    this.highestFences.set(streamPath, fence);
    this.lines.push(line);
  }
}

export async function work(
  holder: Holder, store: Store, entityUrl: string, consumerId: string, steps: number, ttl: number,
): Promise<string> {
  const held = await holder.mint(entityUrl, consumerId, { leaseTtl: { seconds: ttl } });
  let written = 0;
  try {
    while (written < steps && !held.stopRequested) {
      await held.waitToWrite(); // Returns at once, but while writing is suspended.
      try {
        await store.write(held.claim.streamPath, held.writeToken, `line ${written + 1}`);
        written += 1;
      } catch (error) {
        // A lapsed lease is renewed by the next heartbeat.
        if (!(error instanceof Refusal) || error.reason !== "LEASE_LAPSED") throw error;
      }
      await sleep(200, undefined, { signal: held.signal }).catch(() => {}); // The work; a loss ends it at once.
    }
  } catch (error) {
    held.forget();
    if (!(error instanceof Refusal)) throw error;
    if (!["CLAIM_SUPERSEDED", "CEILING_REACHED"].includes(error.reason)) return `lost: ${error.reason}`;
  }
  const done = await held.done({ ackedStreams: [{ path: `${entityUrl}/in`, offset: String(written) }] });
  return `${done.claim?.state} after ${written} lines`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      target: { type: "string", default: "127.0.0.1:50051" },
      entity: { type: "string", default: "/chat/a" },
      consumer: { type: "string", default: `w_${Date.now()}` },
      steps: { type: "string", default: "10" },
      ttl: { type: "string", default: "30" }, // Length of the lease in seconds.
    },
  });
  const holder = new Holder(() => connect(values.target));
  try {
    const store = new Store(holder.client);
    console.log(await work(holder, store, values.entity, values.consumer, Number(values.steps), Number(values.ttl)));
  } finally {
    holder.close();
  }
}
