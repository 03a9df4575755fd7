// Graphile Worker: every job is a row in PostgreSQL, deleted at its end. LOCAL_QUEUE=1: jobs are fetched and completed
// many at a time, as its page on performance advises.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

import { drive, mark } from "./driver.mjs";

const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => (level, message) => level === "error" && console.error(message));
const batching = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
let utils;

await drive({
  async reset() {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query("DROP SCHEMA IF EXISTS graphile_worker CASCADE");
    await client.end();
    const made = await makeWorkerUtils({ connectionString, logger });
    await made.migrate();
    await made.release();
  },
  async open() {
    utils = await makeWorkerUtils({ connectionString, logger });
  },
  enqueue: (body) => utils.addJob("mark", body),
  bulk: (bodies) => utils.addJobs(bodies.map((payload) => ({ identifier: "mark", payload }))),
  close: () => utils.release(),
  async work(concurrency) {
    const worker = process.env.LOCAL_QUEUE === "1" ? batching : {};
    const runner = await run({
      connectionString,
      logger,
      concurrency,
      maxPoolSize: 20,
      noHandleSignals: true,
      taskList: { mark },
      preset: { worker },
    });
    return () => runner.stop();
  },
});
