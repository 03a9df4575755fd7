// pg-boss: every job is a row in PostgreSQL. Workers fetch batches, are woken by NOTIFY, and do not rest while there
// is a backlog.

import { PgBoss } from "pg-boss";

import { drive, mark } from "./driver.mjs";

const QUEUE = "bench";
const FETCHERS = 2; // of one worker program
let boss;

const start = async () => {
  boss = new PgBoss({ connectionString: process.env.DATABASE_URL, useListenNotify: true });
  boss.on("error", console.error);
  await boss.start();
};

await drive({
  async reset() {
    await start();
    await boss.deleteQueue(QUEUE);
    await boss.createQueue(QUEUE, { notify: true });
    await boss.stop();
  },
  open: start,
  enqueue: (body) => boss.send(QUEUE, body),
  bulk: (bodies) => boss.insert(QUEUE, bodies.map((data) => ({ data }))),
  close: () => boss.stop({ graceful: false }),
  async work(slots) {
    await start();
    const options = { localConcurrency: FETCHERS, batchSize: slots / FETCHERS, burstWhenBatchFull: true };
    await boss.work(QUEUE, options, (jobs) => Promise.all(jobs.map((job) => mark(job.data))));
    return () => boss.stop({ graceful: false });
  },
});
