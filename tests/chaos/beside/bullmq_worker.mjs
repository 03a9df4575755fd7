// A worker: `threads N` runs bodies in its own event loop, `prefork N` in processes of their own.
import { Worker } from 'bullmq'
import body from './bullmq_body.mjs'

const [pool, concurrency] = process.argv.slice(2)
const worker = new Worker('chaos', pool === 'threads' ? body : new URL('bullmq_body.mjs', import.meta.url), {
  connection: { url: process.env.REDIS_URL },
  concurrency: Number(concurrency),
  lockDuration: Number(process.env.JOBS_LEASE) * 1000,
  stalledInterval: Number(process.env.JOBS_LEASE) * 1000,
  maxStalledCount: Number(process.env.LOSSES),
})
worker.on('error', (error) => console.error(error.message))
await worker.waitUntilReady()
console.log(' ready.')
