// What the programs of the Node peers share: the commands of benchmarks/driver.py, and the body of every job.

import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const BATCH = 1000; // jobs of a bulk call
const IN_FLIGHT = 50;
const WARM_UP = 10;

let file;

/** Start, wait as if for an upstream, and leave the mark. `sent`: CLOCK_MONOTONIC in ns, or 0. */
export async function mark({ sent, waitMs }) {
  const started = Number(process.hrtime.bigint());
  if (waitMs > 0) await sleep(waitMs);
  file ??= openSync(process.env.BENCH_MARKS, "a");
  writeSync(file, `${sent ? started - sent : 0}`.padStart(15) + "\n");
}

/** Run the command that the harness asked for. `peer`: reset, open, enqueue, bulk, close and work. */
export async function drive(peer) {
  const [command, ...rest] = process.argv.slice(2);
  if (command === "reset") return peer.reset();
  if (command === "work") {
    const stop = await peer.work(Number(rest[0]));
    process.once("SIGTERM", async () => {
      await stop();
      process.exit(0);
    });
    return;
  }
  await peer.open();
  if (command === "enqueue") await enqueue(peer, rest[0], Number(rest[1]), Number(rest[2]));
  else if (command === "latency") await latency(peer, Number(rest[0]), Number(rest[1]));
  else throw new Error(`unknown command ${command}`);
  await peer.close();
}

async function enqueue(peer, way, count, waitMs) {
  const body = { sent: 0, waitMs };
  const spare = Math.min(way === "concurrent" ? IN_FLIGHT : WARM_UP, Math.floor(count / 2));
  const began = Number(process.hrtime.bigint());
  if (way === "bulk") await peer.bulk(Array(spare).fill(body));
  else await Promise.all(Array.from({ length: spare }, () => peer.enqueue(body)));
  let left = count - spare;
  const start = process.hrtime.bigint();
  if (way === "bulk") {
    for (; left > 0; left -= BATCH) await peer.bulk(Array(Math.min(BATCH, left)).fill(body));
  } else {
    const caller = async () => {
      while (left-- > 0) await peer.enqueue(body);
    };
    await Promise.all(Array.from({ length: way === "concurrent" ? IN_FLIGHT : 1 }, caller));
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(JSON.stringify({ seconds, jobs: count - spare, began }));
}

async function latency(peer, count, perSecond) {
  for (let n = 0; n < WARM_UP; n++) await peer.enqueue({ sent: 0, waitMs: 0 });
  const begin = performance.now();
  for (let n = 0; n < count - WARM_UP; n++) {
    await sleep(Math.max(0, begin + (1000 * n) / perSecond - performance.now()));
    await peer.enqueue({ sent: Number(process.hrtime.bigint()), waitMs: 0 });
  }
}
