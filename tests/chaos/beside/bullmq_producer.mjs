// Enqueues what it reads, a JSON line a call, and answers each with a line: { call, error } or { call, ids }.
import { createInterface } from 'node:readline'
import { FlowProducer, Queue } from 'bullmq'

const connection = { url: process.env.REDIS_URL }
const queue = new Queue('chaos', { connection })
const flows = new FlowProducer({ connection })
for (const each of [queue, flows]) each.on('error', (error) => console.error(error.message))

const options = ({ id, delay }) => ({ jobId: id, delay: delay * 1000, attempts: 3, backoff: 200 })

const acts = {
  add: async ({ jobs: [job] }) => void (await queue.add('work', job, options(job))),
  // A job waits for its children, so that the last step of a chain is the root.
  chain: async ({ jobs }) => {
    const flow = jobs.reduce((before, job) => ({
      name: 'work',
      queueName: 'chaos',
      data: job,
      opts: options(job),
      children: before && [before],
    }), undefined)
    await flows.add(flow)
  },
  failed: async () => (await queue.getFailed(0, -1)).map((job) => job.id),
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  acts[asked.act](asked).then(
    (ids) => console.log(JSON.stringify({ call: asked.call, ids })),
    (error) => console.log(JSON.stringify({ call: asked.call, error: String(error) })),
  )
}
process.exit()
