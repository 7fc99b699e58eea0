// What both programs need: arguments, closed-loop callers, quantiles, the one line of output.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";

// Stops a measurement whose calls only fail, instead of spinning until its end.
const MOST_ERRORS = 100;

/** `DATABASE_URL --seconds S --callers N [--pool P]`; the connection comes from nowhere else. */
export function settings() {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("PG") || name === "DATABASE_URL") delete process.env[name];
  }
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "5" },
      callers: { type: "string", default: "256" },
      pool: { type: "string" },
    },
  });
  const [url] = positionals;
  const seconds = Number(values.seconds);
  const callers = Number(values.callers);
  const pool = values.pool === undefined ? undefined : Number(values.pool);
  if (positionals.length !== 1 || !(seconds > 0) || !(callers >= 1) || (pool !== undefined && !(pool >= 1))) {
    throw new Error("arguments: DATABASE_URL [--seconds S] [--callers N] [--pool CONNECTIONS]");
  }
  return { url, seconds, callers, pool };
}

/** One connection of our own, for the clean-up and for looking at what the library left behind. */
export async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    query: (text, values) => client.query(text, values),
    number: async (text, values) => Number(Object.values((await client.query(text, values)).rows[0])[0]),
    close: () => client.end(),
  };
}

/**
 * `callers` loops of `step` until the time is up, or until one answers that nothing is left.
 * `step(caller)` returns how many jobs it moved. Time runs until the last caller has its answer.
 */
export async function closedLoop({ seconds, callers, step }) {
  const latencies = [];
  let jobs = 0;
  let errors = 0;
  let dry = false;
  const start = performance.now();
  const end = start + seconds * 1000;
  const loop = async (caller) => {
    while (!dry && performance.now() < end) {
      const before = performance.now();
      try {
        const moved = await step(caller);
        if (moved === 0) {
          dry = true;
          break;
        }
        latencies.push(performance.now() - before);
        jobs += moved;
      } catch (error) {
        if (errors++ === 0) progress(`error: ${error.stack}`);
        if (errors > MOST_ERRORS) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => loop(caller)));
  return { jobs, errors, elapsed: (performance.now() - start) / 1000, latencies };
}

/** A line of the answer. `per_second` counts jobs; the latencies are of one step, so of a whole batch. */
export function result({ what, callers, batch }, { jobs, errors, elapsed, latencies }) {
  latencies.sort((a, b) => a - b);
  const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))] ?? null;
  const round = (value, digits) => (value === null ? null : Number(value.toFixed(digits)));
  const line = {
    what,
    callers,
    batch,
    per_second: round(jobs / elapsed, 1),
    p50_ms: round(quantile(0.5), 3),
    p99_ms: round(quantile(0.99), 3),
    errors,
  };
  progress(`${what}, ${callers} callers, batch ${batch}: ${Math.round(line.per_second)}/s, p50 ${line.p50_ms} ms, p99 ${line.p99_ms} ms`);
  return line;
}

/** The version that is installed, not the one that was asked for. */
export function version(library) {
  const manifest = new URL(`node_modules/${library}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

/** How this server commits, for the sentence about what is durable. */
export async function commits(database) {
  const { rows } = await database.query(
    "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous",
  );
  return `fsync = ${rows[0].fsync}, synchronous_commit = ${rows[0].synchronous}`;
}

export function expect(found, expected, what) {
  if (found !== expected) throw new Error(`${what}: ${found}, expected ${expected}`);
}

export function progress(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs the program: one JSON object on stdout, or a message on stderr and exit status 1. */
export async function main(program) {
  try {
    process.stdout.write(`${JSON.stringify(await program(settings()))}\n`);
  } catch (error) {
    progress(error.stack ?? String(error));
    process.exit(1);
  }
}
