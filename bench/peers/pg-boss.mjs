// pg-boss: fetch, touch (its heartbeat) and complete, one job at a time and in batches.

import { PgBoss } from "pg-boss";
import { closedLoop, commits, connect, expect, main, progress, result, version } from "./measure.mjs";

const SCHEMA = "claim_bench_pg_boss";
// Jobs per call where pg-boss takes several, and how many callers do so at a time. On two cores 500 is
// faster than 20 and 100, and more callers than a few only wait longer at the same rate.
const BATCH = 500;
const BATCH_CALLERS = 4;
// The sizes tried for the pool; above some number of connections they are in each other's way.
const POOLS = [10, 20, 40, 80];
const PROBE_SECONDS = 0.7;
// A queue is filled for the rate of a short trial and this much more, so that it does not run dry.
const TRIAL_JOBS = 4000;
const HEADROOM = 1.6;
const INSERT_AT_ONCE = 2000;
// An empty answer while jobs are left means that others had locked them; this many in a row do not.
const EMPTY_ANSWERS = 50;

main(async ({ url, seconds, callers, pool }) => {
  const database = await connect(url);
  const cleanUp = () => database.query(`drop schema if exists ${SCHEMA} cascade`);
  await cleanUp();
  try {
    const size = pool ?? (await bestPool(url, database, callers));
    const results = await withBoss(url, size, (boss) => measure({ boss, database, seconds, callers }));
    return {
      name: "pg-boss",
      version: version("pg-boss"),
      durable:
        "every fetch, touch and complete is one committed transaction, a batch of them too " +
        `(${await commits(database)})`,
      pool: size,
      results,
    };
  } finally {
    await cleanUp();
    await database.close();
  }
});

async function measure({ boss, database, seconds, callers }) {
  const few = Math.min(callers, BATCH_CALLERS);
  const results = [];
  for (const line of [
    { what: "fetch + complete", callers, batch: 1 },
    { what: "fetch + touch + complete", callers, batch: 1 },
    { what: "fetch + complete", callers: few, batch: BATCH },
    { what: "fetch + touch + complete", callers: few, batch: BATCH },
  ]) {
    const touches = line.what.includes("touch");
    results.push(result(line, await cycles({ boss, database, seconds, touches, ...line })));
  }
  results.push(await touching({ boss, database, seconds, callers, batch: 1 }));
  results.push(await touching({ boss, database, seconds, callers: few, batch: BATCH }));
  return results;
}

/** Callers that each take a batch of jobs, perhaps say that they live, and complete them. */
async function cycles({ boss, database, seconds, callers, batch, touches }) {
  const run = async (queue, jobs, duration) => {
    let left = jobs;
    const step = async () => {
      const taken = await take(boss, queue, batch, () => left);
      if (taken.length === 0) return 0;
      left -= taken.length;
      if (touches) all(await boss.touch(queue, taken), taken);
      all(await boss.complete(queue, taken), taken);
      return taken.length;
    };
    const measured = await closedLoop({ seconds: duration, callers, step });
    expect(await count(database, queue, "completed"), measured.jobs, "completed jobs");
    if (measured.errors === 0) expect(await count(database, queue, "active"), 0, "jobs left active");
    return measured;
  };
  const trialJobs = TRIAL_JOBS + callers * batch;
  const trial = await onQueue({ boss, database, jobs: trialJobs }, (queue) => run(queue, trialJobs, PROBE_SECONDS));
  const jobs = Math.ceil((trial.jobs / trial.elapsed) * seconds * HEADROOM) + callers * batch;
  return onQueue({ boss, database, jobs }, (queue) => run(queue, jobs, seconds));
}

/** Holders that each touch the jobs they have taken, again and again. */
async function touching({ boss, database, seconds, callers, batch }) {
  const jobs = callers * batch;
  return onQueue({ boss, database, jobs }, async (queue) => {
    const held = [];
    for (let caller = 0; caller < callers; caller++) {
      held.push(await boss.fetch(queue, { batchSize: batch }));
      expect(held[caller].length, batch, "jobs taken by a holder");
    }
    const { rows } = await database.query("select clock_timestamp() as now");
    const measured = await closedLoop({
      seconds,
      callers,
      step: async (caller) => {
        all(await boss.touch(queue, held[caller]), held[caller]);
        return batch;
      },
    });
    const touched = await database.number(
      `select count(*) from ${SCHEMA}.job where name = $1 and state = 'active' and heartbeat_on >= $2`,
      [queue, rows[0].now],
    );
    expect(touched, jobs, "jobs touched since the start");
    return result({ what: "touch", callers, batch }, measured);
  });
}

/** Up to `batch` jobs; none when the queue is empty. */
async function take(boss, queue, batch, left) {
  for (let answers = 0; answers < EMPTY_ANSWERS && left() > 0; answers++) {
    const taken = await boss.fetch(queue, { batchSize: batch });
    if (taken.length > 0) return taken;
  }
  return [];
}

/** Every job given to pg-boss was in the state that the call needs, and changed. */
function all(answer, jobs) {
  expect(answer.affected, jobs.length, "jobs changed by a call");
}

function count(database, queue, state) {
  return database.number(`select count(*) from ${SCHEMA}.job where name = $1 and state = $2`, [queue, state]);
}

let queues = 0;

/** A queue of its own, with heartbeats on and fresh statistics, and gone afterwards. */
async function onQueue({ boss, database, jobs }, work) {
  const queue = `queue-${++queues}`;
  await boss.createQueue(queue, { heartbeatSeconds: 60 });
  for (let filled = 0; filled < jobs; filled += INSERT_AT_ONCE) {
    const length = Math.min(INSERT_AT_ONCE, jobs - filled);
    await boss.insert(queue, Array.from({ length }, (_, job) => ({ data: { entity: `/chat/${filled + job}` } })));
  }
  await database.query(`vacuum analyze ${SCHEMA}.job_common`);
  const done = await work(queue);
  await boss.deleteQueue(queue);
  await database.query(`truncate ${SCHEMA}.job_common`);
  return done;
}

/** The pool with the most cycles a second at this number of callers. */
async function bestPool(url, database, callers) {
  let best = { rate: 0 };
  for (const size of POOLS) {
    const measured = await withBoss(url, size, (boss) =>
      cycles({ boss, database, seconds: PROBE_SECONDS, callers, batch: 1, touches: true }),
    );
    const rate = measured.jobs / measured.elapsed;
    progress(`a pool of ${size}: ${Math.round(rate)} cycles/s`);
    if (rate > best.rate) best = { rate, size };
  }
  return best.size;
}

/** A started pg-boss without its maintenance, which would take time from what is measured. */
async function withBoss(url, size, work) {
  const boss = new PgBoss({ connectionString: url, schema: SCHEMA, max: size, supervise: false, schedule: false });
  boss.on("error", (error) => progress(`pg-boss: ${error.message}`));
  await boss.start();
  try {
    return await work(boss);
  } finally {
    await boss.stop({ graceful: false, close: true });
  }
}
