// graphile-worker: jobs that its own runner takes and completes, with and without its batching.

import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { commits, connect, expect, main, progress, result, version } from "./measure.mjs";

// Read when the library is loaded: no line in the log for each job that went well.
process.env.NO_LOG_SUCCESS = "1";
const { Logger, makeWorkerUtils, run } = await import("graphile-worker");

const SCHEMA = "claim_bench_graphile_worker";
const TASK = "return_at_once";
// The sizes tried for the pool; above some number of connections they are in each other's way.
const POOLS = [10, 20, 40, 80];
const PROBE_SECONDS = 0.7;
// How many jobs take the whole time is reckoned from this many, then from some for PROBE_SECONDS.
const TRIAL_JOBS = 2000;
const ADD_AT_ONCE = 5000;
// How long completions may follow the last job, and how often we look.
const DRAIN_MS = 10_000;
const DRAIN_POLL_MS = 5;
// A runner that does not get through its jobs is a failure, not a long measurement.
const LONGEST_MS = 300_000;
// The batching that the library's page on performance measures with: jobs fetched ahead of the
// workers, completions of one turn of the event loop in one statement.
const LOCAL_QUEUE = 500;
const BATCHING = { localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

const logger = new Logger(() => (level, message) => {
  if (level === "error") progress(`graphile-worker: ${message}`);
});

main(async ({ url, seconds, callers, pool }) => {
  const database = await connect(url);
  const cleanUp = () => database.query(`drop schema if exists ${SCHEMA} cascade`);
  await cleanUp();
  const utils = await makeWorkerUtils({ preset: preset(url, 4), logger });
  try {
    await utils.migrate();
    const runner = { url, database, utils, callers };
    const size = pool ?? (await bestPool(runner));
    const results = [];
    for (const batched of [false, true]) {
      const measured = await cycles({ ...runner, size, batched, seconds });
      const batch = batched ? LOCAL_QUEUE : 1;
      results.push(result({ what: batched ? "get + complete, batched" : "get + complete", callers, batch }, measured));
    }
    return {
      name: "graphile-worker",
      version: version("graphile-worker"),
      durable:
        "taking jobs and completing them are committed transactions, but a worker does not wait for the " +
        `completion before it takes the next job; there is no heartbeat (${await commits(database)})`,
      pool: size,
      results,
    };
  } finally {
    await utils.release();
    await cleanUp();
    await database.close();
  }
});

/** The runner's jobs a second, with as many jobs as take it about the whole time. */
async function cycles({ seconds, ...runner }) {
  const within = ({ jobs, elapsed }, time) => Math.max(TRIAL_JOBS, Math.ceil((jobs / elapsed) * time));
  const cold = await work({ ...runner, jobs: TRIAL_JOBS });
  const warm = await work({ ...runner, jobs: within(cold, PROBE_SECONDS) });
  return seconds > PROBE_SECONDS ? work({ ...runner, jobs: within(warm, seconds) }) : warm;
}

/**
 * Adds jobs and lets the runner work until the database has none of them: a completed job is deleted.
 * The time ends there, because the runner goes on, and even stops, before completions are committed.
 */
async function work({ url, database, utils, callers, size, batched, jobs }) {
  await fill(utils, jobs);
  await database.query(`vacuum analyze ${SCHEMA}._private_jobs`);
  const asked = new Map();
  const latencies = [];
  let errors = 0;
  let start;
  const events = new EventEmitter();
  events.on("job:start", () => (start ??= performance.now()));
  events.on("worker:getJob:start", ({ worker }) => asked.set(worker, performance.now()));
  const finished = new Promise((resolve) => {
    events.on("job:complete", ({ worker, error }) => {
      if (error) errors++;
      else latencies.push(performance.now() - asked.get(worker));
      if (latencies.length + errors === jobs) resolve();
    });
  });
  const runner = await run({
    preset: preset(url, size, { events, concurrentJobs: callers, ...(batched ? BATCHING : {}) }),
    taskList: { [TASK]: () => {} },
    logger,
    noHandleSignals: true,
  });
  const ended = runner.promise.then(() => {
    throw new Error("the runner ended before its jobs");
  });
  const late = sleep(LONGEST_MS, undefined, { ref: false }).then(() => {
    throw new Error("the runner does not get through its jobs");
  });
  await Promise.race([finished, ended, late]);
  const deadline = performance.now() + DRAIN_MS;
  while ((await remaining(database)) > errors && performance.now() < deadline) await sleep(DRAIN_POLL_MS);
  const elapsed = (performance.now() - start) / 1000;
  await runner.stop();
  expect(jobs - (await remaining(database)), latencies.length, "jobs gone from the table");
  await database.query(`truncate ${SCHEMA}._private_jobs`);
  return { jobs: latencies.length, errors, elapsed, latencies };
}

function remaining(database) {
  return database.number(`select count(*) from ${SCHEMA}._private_jobs`);
}

async function fill(utils, jobs) {
  for (let added = 0; added < jobs; added += ADD_AT_ONCE) {
    const length = Math.min(ADD_AT_ONCE, jobs - added);
    await utils.addJobs(
      Array.from({ length }, (_, job) => ({ identifier: TASK, payload: { entity: `/chat/${added + job}` } })),
    );
  }
}

/** The pool with the most jobs a second without batching, which needs connections most. */
async function bestPool(runner) {
  let best = { rate: 0 };
  for (const size of POOLS) {
    const measured = await cycles({ ...runner, size, batched: false, seconds: PROBE_SECONDS });
    const rate = measured.jobs / measured.elapsed;
    progress(`a pool of ${size}: ${Math.round(rate)} jobs/s`);
    if (rate > best.rate) best = { rate, size };
  }
  return best.size;
}

function preset(url, size, more = {}) {
  return { worker: { connectionString: url, schema: SCHEMA, maxPoolSize: size, ...more } };
}
