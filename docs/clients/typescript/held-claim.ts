// Holds claims of the claim service: mints, heartbeats and ends them, and knows when they are lost.
//
// One `Holder` for a process and a tenant. Its heartbeats go over one stream. All times are those of
// `performance.now()`, which is monotonic, in milliseconds. 64-bit numbers are strings throughout.
// docs/clients.md gives the reasons, by the numbers used here.

import * as grpc from "@grpc/grpc-js";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ProtoGrpcType as AdminProtos } from "./generated/claim_admin_service.js";
import type { ProtoGrpcType as ServiceProtos } from "./generated/claim_service.js";
import type { Claim__Output as Claim } from "./generated/claim/v1/Claim.js";
import type { ClaimServiceClient } from "./generated/claim/v1/ClaimService.js";
import type { DoneRequest } from "./generated/claim/v1/DoneRequest.js";
import type { DoneResponse__Output as DoneResponse } from "./generated/claim/v1/DoneResponse.js";
import type { KeepAliveRequest } from "./generated/claim/v1/KeepAliveRequest.js";
import type { KeepAliveResponse__Output as KeepAliveResponse } from "./generated/claim/v1/KeepAliveResponse.js";
import type { MintRequest } from "./generated/claim/v1/MintRequest.js";
import type { MintResponse__Output as MintResponse } from "./generated/claim/v1/MintResponse.js";
import type { Duration__Output as Duration } from "./generated/google/protobuf/Duration.js";
import type { Status__Output as Status } from "./generated/google/rpc/Status.js";

const RESEND_MAX = 4500; // The contract says 5 s; the rest is for a busy machine.
const SILENCE_MAX = 3000; // Heartbeats are out and nothing comes back: the stream counts as broken.
const ATTEMPT_MAX = 5000; // A call that has no answer by then is better sent again.
const PAUSE_FIRST = 100; // Before something is tried again; doubled each time.
const PAUSE_MAX = 2000;
const MARGIN = 0.1; // Share of the lease that is given away, so that a write ends before the lease does.

// 7: what the service calls lost, and the code it says it with. Nothing else is.
export const LOSSES: Readonly<Record<string, grpc.status>> = {
  CLAIM_NOT_FOUND: grpc.status.NOT_FOUND,
  CLAIM_SUPERSEDED: grpc.status.FAILED_PRECONDITION,
  CLAIM_RELEASED: grpc.status.FAILED_PRECONDITION,
  CLAIM_FAILED: grpc.status.FAILED_PRECONDITION,
  CLAIM_EXPIRED: grpc.status.FAILED_PRECONDITION,
  CLAIM_REVOKED: grpc.status.FAILED_PRECONDITION,
  CEILING_REACHED: grpc.status.FAILED_PRECONDITION,
  WRITE_TOKEN_INVALID: grpc.status.PERMISSION_DENIED,
};

// Both folders as seen from `built`.
const includeDirs = ["../../../../proto", "../proto"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
const definition = loadSync(
  ["claim/v1/claim_service.proto", "claim/v1/claim_admin_service.proto", "google/rpc/error_details.proto"],
  { includeDirs, longs: String, enums: String, oneofs: true, json: true, defaults: true },
);
export const protos = grpc.loadPackageDefinition(definition) as unknown as ServiceProtos & AdminProtos;
export const statusType = definition["google.rpc.Status"] as MessageTypeDefinition<object, Status>;

/** A status that is not OK. 1: act on `code` and `reason`; the text is for people. */
export class Refusal extends Error {
  readonly code: grpc.status;
  readonly reason: string = "";
  readonly metadata: Record<string, string> = {};
  readonly retryAfter: number | undefined;

  constructor(status: Pick<Status, "code" | "message" | "details">) {
    super(`${grpc.status[status.code]}: ${status.message}`);
    this.code = status.code;
    for (const detail of status.details as unknown as Record<string, unknown>[]) {
      const type = String(detail["@type"]).split("/").pop();
      if (type === "google.rpc.ErrorInfo" && detail.domain === "claim.v1") {
        this.reason = String(detail.reason);
        this.metadata = detail.metadata as Record<string, string>;
      } else if (type === "google.rpc.RetryInfo") {
        this.retryAfter = milliseconds(detail.retryDelay as Duration | null);
      }
    }
  }

  /** Of the error of a call; a broken connection is UNAVAILABLE and has no reason. */
  static of(error: grpc.ServiceError): Refusal {
    const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const bare = { code: error.code, message: error.details, details: [] };
    return new Refusal(Buffer.isBuffer(bytes) ? statusType.deserialize(bytes) : bare);
  }

  get isLoss(): boolean {
    return LOSSES[this.reason] === this.code;
  }

  /** 2: `RESOURCE_EXHAUSTED` only where the service says when. */
  get mayBeRepeated(): boolean {
    if (this.code === grpc.status.RESOURCE_EXHAUSTED) return this.retryAfter !== undefined;
    return this.code === grpc.status.UNAVAILABLE || this.code === grpc.status.DEADLINE_EXCEEDED;
  }
}

export function milliseconds(duration: Duration | null): number {
  return duration === null ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** Options for a client with connections of its own, which repeats calls as the service config says. */
export function options(serviceConfig: string): grpc.ClientOptions {
  const config = JSON.parse(readFileSync(serviceConfig, "utf8")) as object;
  return {
    "grpc.service_config": JSON.stringify({ ...config, loadBalancingConfig: [{ round_robin: {} }] }),
    "grpc.use_local_subchannel_pool": 1,
    // By default a channel waits up to two minutes before it connects again.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": PAUSE_MAX,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
  };
}

type Call<Request, Answer> = (
  request: Request,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, answer?: Answer) => void,
) => unknown;

/** 2: the answer, and when its request was sent. The same arguments each time, so it is safe. */
export async function untilAnswered<Request, Answer>(
  call: Call<Request, Answer>,
  request: Request,
  within: number,
): Promise<{ answer: Answer; sentAt: number }> {
  const giveUpAt = performance.now() + within;
  for (let pause = PAUSE_FIRST; ; pause = Math.min(2 * pause, PAUSE_MAX)) {
    const sentAt = performance.now();
    const deadline = Date.now() + Math.min(ATTEMPT_MAX, giveUpAt - sentAt);
    const outcome = await new Promise<Answer | Refusal>((resolve) =>
      call(request, { deadline }, (error, answer) => resolve(error ? Refusal.of(error) : answer!)),
    );
    if (!(outcome instanceof Refusal)) return { answer: outcome, sentAt };
    const wait = Math.max(pause * (0.5 + Math.random() / 2), outcome.retryAfter ?? 0);
    if (!outcome.mayBeRepeated || performance.now() + wait >= giveUpAt) throw outcome;
    await sleep(wait);
  }
}

/** A claim, and what its holder can know of its lease. Made by `Holder.mint`. */
export class HeldClaim {
  readonly claim: Claim;
  readonly writeToken: string;
  lost: Refusal | undefined;
  stopRequested = false; // To finish at the next checkpoint. It is a request; the claim is still held.
  writeUntil: number;
  sentAt: number;
  nextBeatAt: number;
  private stopSince = 0;
  private interval = 0;
  private renewedBy: number;
  private ending = false;
  private readonly ttl: number;
  private readonly loss = new AbortController();
  private waiting: (() => void)[] = [];

  constructor(private readonly holder: Holder, minted: MintResponse, sentAt: number) {
    this.claim = minted.claim!;
    this.writeToken = minted.writeToken;
    this.writeUntil = this.sentAt = this.nextBeatAt = sentAt;
    this.ttl = milliseconds(this.claim.leaseTtl);
    this.renewedBy = sentAt;
    this.renewed(sentAt, this.claim.leaseRemaining, minted.heartbeatInterval, false);
    // 4: a server pushes only what it has heard on the stream.
    this.nextBeatAt = Math.min(this.nextBeatAt, sentAt + 500 + 500 * Math.random());
  }

  /** Aborted with the refusal when the claim is lost. */
  get signal(): AbortSignal {
    return this.loss.signal;
  }

  /** Whether the lease runs for certain. Ask before each write; be done by `writeUntil`. */
  mayWrite(): boolean {
    return this.lost === undefined && performance.now() < this.writeUntil;
  }

  /** Waits while writing is suspended. Throws the refusal if the claim is lost. */
  async waitToWrite(timeout = 2 ** 31 - 1): Promise<boolean> {
    const giveUpAt = performance.now() + timeout;
    while (this.lost === undefined && !this.mayWrite() && performance.now() < giveUpAt) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, giveUpAt - performance.now());
        this.waiting.push(() => (clearTimeout(timer), resolve()));
      });
    }
    if (this.lost !== undefined) throw this.lost;
    return this.mayWrite();
  }

  /** Ends the claim. Repeated until it is answered, and heartbeaten until then (8). */
  async done(fields: DoneRequest = {}, within = 60_000): Promise<DoneResponse> {
    const { tenantId, consumerId, epoch } = this.claim;
    const request = { ...fields, tenantId, consumerId, epoch, writeToken: this.writeToken };
    this.ending = true;
    try {
      const client = this.holder.client;
      const { answer } = await untilAnswered<DoneRequest, DoneResponse>(client.done.bind(client), request, within);
      this.writeUntil = 0;
      this.forget();
      return answer;
    } catch (error) {
      this.ending = false;
      this.nextBeatAt = performance.now();
      throw error;
    }
  }

  /** Ends the heartbeats. Without a done the lease lapses, and others may take the entity. */
  forget(): void {
    this.holder.held.delete(key(this.claim));
  }

  // What follows is called by the holder.

  sent(now: number): void {
    this.sentAt = now;
    this.nextBeatAt = now + Math.min(this.interval, RESEND_MAX); // 5
  }

  renewed(sentAt: number, remaining: Duration | null, interval: Duration | null, stop: boolean): void {
    if (sentAt < this.renewedBy) return; // 6: the answer to the heartbeat that was sent last counts.
    // It was given after that heartbeat was sent, so the lease runs at least so long from there.
    this.writeUntil = sentAt + Math.min(milliseconds(remaining), this.ttl) - MARGIN * this.ttl;
    this.renewedBy = sentAt;
    if (stop) this.askedToStop();
    else if (sentAt > this.stopSince) this.stopRequested = false; // Only what was asked later withdraws it.
    if (sentAt >= this.sentAt) {
      // Else a later one is out.
      this.interval = Math.max(Math.min(milliseconds(interval), this.ttl / 2), 100);
      this.nextBeatAt = sentAt + this.interval;
    }
    this.wake();
  }

  refused(sentAt: number, refusal: Refusal): void {
    if (this.ending && ["CLAIM_RELEASED", "CLAIM_FAILED"].includes(refusal.reason)) {
      this.nextBeatAt = Infinity; // By our own done, which is being answered.
    } else if (refusal.isLoss) {
      this.lost = refusal;
      this.forget();
      this.loss.abort(refusal);
      this.wake();
    } else if (sentAt === this.sentAt) {
      const wait = Math.max(200 + 200 * Math.random(), refusal.retryAfter ?? 0);
      this.nextBeatAt = Math.min(performance.now() + wait, sentAt + RESEND_MAX);
    }
  }

  askedToStop(): void {
    this.stopRequested = true;
    this.stopSince = performance.now();
  }

  private wake(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }
}

const key = (claim: { consumerId: string; epoch: string }) => `${claim.epoch} ${claim.consumerId}`;

/** Holds any number of claims of one tenant; `connect` makes a client. */
export class Holder {
  readonly client: ClaimServiceClient;
  readonly held = new Map<string, HeldClaim>();
  private stream: grpc.ClientDuplexStream<KeepAliveRequest, KeepAliveResponse> | undefined;
  private flights = new Map<string, { held: HeldClaim; sentAt: number }>();
  private lastTag = 0n; // 4: 0 is the server's.
  private heardAt = 0;
  private pause = PAUSE_FIRST;
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(private readonly connect: () => ClaimServiceClient, private readonly tenantId = "") {
    this.client = connect();
    this.openStream();
  }

  /** 3: one request id for the mint and all its repetitions; the last answer counts. */
  async mint(entityUrl: string, consumerId: string, fields: MintRequest = {}, within = 30_000): Promise<HeldClaim> {
    const request = { ...fields, tenantId: this.tenantId, entityUrl, consumerId, requestId: randomUUID() };
    const call = this.client.mint.bind(this.client);
    const { answer, sentAt } = await untilAnswered<MintRequest, MintResponse>(call, request, within);
    const held = new HeldClaim(this, answer, sentAt);
    this.held.set(key(held.claim), held);
    this.sendHeartbeats();
    return held;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.stream?.cancel();
    this.client.close();
  }

  /** Opens a stream, over a connection of its own; when it ends, the next. */
  private openStream(): void {
    if (this.closed) return;
    const client = this.connect();
    const stream = (this.stream = client.keepAlive());
    stream.on("data", (answer: KeepAliveResponse) => this.take(answer));
    stream.on("error", () => {}); // 7: that a stream ends says nothing of any claim.
    stream.once("status", () => {
      client.close();
      this.stream = undefined;
      this.flights.clear();
      setTimeout(() => this.openStream(), this.pause * (0.5 + Math.random() / 2));
      this.pause = Math.min(2 * this.pause, PAUSE_MAX);
    });
    for (const held of this.held.values()) held.nextBeatAt = performance.now(); // 5: it was not heard of here.
    this.sendHeartbeats();
  }

  private sendHeartbeats(): void {
    if (this.closed) return;
    const now = performance.now();
    for (const held of this.held.values()) {
      if (this.stream !== undefined && held.nextBeatAt <= now) this.send(held, now);
    }
    if (this.flights.size > 0 && now >= this.heardAt + SILENCE_MAX) {
      this.flights.clear();
      this.stream?.cancel();
    }
    let wakeAt = now + 1000;
    if (this.flights.size > 0) wakeAt = Math.min(wakeAt, this.heardAt + SILENCE_MAX);
    for (const held of this.held.values()) wakeAt = Math.min(wakeAt, held.nextBeatAt);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sendHeartbeats(), Math.max(wakeAt - now, 10));
  }

  private send(held: HeldClaim, now: number): void {
    if (this.flights.size === 0) this.heardAt = now;
    const tag = String(++this.lastTag);
    this.flights.set(tag, { held, sentAt: now });
    held.sent(now);
    const { tenantId, consumerId, epoch } = held.claim;
    this.stream?.write({ tag, heartbeat: { tenantId, consumerId, epoch, writeToken: held.writeToken } });
  }

  private take(answer: KeepAliveResponse): void {
    this.pause = PAUSE_FIRST;
    this.heardAt = performance.now();
    const flight = this.flights.get(answer.tag);
    this.flights.delete(answer.tag);
    // A push names the claim and renews nothing.
    const held = answer.tag === "0" ? this.held.get(key(answer)) : flight?.held;
    if (held === undefined || held.lost !== undefined) return;
    const sentAt = flight?.sentAt ?? -1;
    if (answer.error) held.refused(sentAt, new Refusal(answer.error));
    else if (answer.tag === "0") held.askedToStop();
    else if (answer.response) {
      const { leaseRemaining, heartbeatInterval, directive } = answer.response;
      held.renewed(sentAt, leaseRemaining, heartbeatInterval, directive === "HEARTBEAT_DIRECTIVE_STOP");
    }
    this.sendHeartbeats();
  }
}
