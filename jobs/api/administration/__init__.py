"""What operators' tools ask and order: at /api/admin/jobs, and at /admin/jobs for those that know it from there."""

from jobs.api.administration import figures, jobs, queues, scheduler, workers

routers = [figures.router, jobs.router, workers.router, queues.router, scheduler.router]
