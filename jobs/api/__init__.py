"""The HTTP API: `docs/api.md` is its contract, /api/openapi.json its exact form."""

from jobs.api import health, jobs, types
from jobs.api.openapi import JobsApi

api = JobsApi(
    title="Jobyard",
    version="1",
    description="Durable background jobs: enqueue them, follow them, cancel and retry them.",
    urls_namespace="api",
)
# Fixed names under /jobs stand before /jobs/{job_id}.
api.add_router("/jobs", types.router)
api.add_router("/jobs", health.router)
api.add_router("/jobs", jobs.router)
