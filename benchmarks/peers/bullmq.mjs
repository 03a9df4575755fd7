// BullMQ as it comes: a job is a hash in Valkey, locked while it runs, and kept after its end.

import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

import { drive, mark } from "./driver.mjs";

const connect = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
let connection, queue;

await drive({
  async reset() {
    const client = connect();
    await client.flushdb();
    await client.quit();
  },
  async open() {
    connection = connect();
    queue = new Queue("bench", { connection });
    await queue.waitUntilReady();
  },
  enqueue: (body) => queue.add("mark", body),
  bulk: (bodies) => queue.addBulk(bodies.map((data) => ({ name: "mark", data }))),
  async close() {
    await queue.close();
    await connection.quit();
  },
  async work(concurrency) {
    const worker = new Worker("bench", (job) => mark(job.data), { connection: connect(), concurrency });
    worker.on("error", console.error);
    worker.on("failed", (job, error) => console.error(error));
    return () => worker.close();
  },
});
