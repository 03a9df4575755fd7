// The body of a job, for both kinds of worker: take some time, then do what was asked.
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { UnrecoverableError } from 'bullmq'

export default async function run(job) {
  const { journal, seconds, fails, hopeless } = job.data
  const attempt = job.attemptsMade + 1
  const write = (event) =>
    appendFileSync(journal, JSON.stringify([job.id, attempt, event, '', Date.now() / 1000, process.pid]) + '\n')
  write('start')
  await sleep(seconds * 1000)
  if (hopeless) {
    write('fail')
    throw new UnrecoverableError('asked to fail')
  }
  if (attempt <= fails) throw new Error(`attempt ${attempt} fails`)
  write('end')
}
