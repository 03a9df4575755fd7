"""The HTTP API: `docs/api.md` is its contract, /api/openapi.json its exact form."""

from jobs.api import administration, cron, health, jobs, live, operations, types
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
api.add_router("/jobs", operations.router)
api.add_router("/jobs", live.router)
api.add_router("/jobs", jobs.router)
api.add_router("/cron", cron.router)
for router in administration.routers:
    api.add_router("/admin/jobs", router)

# The administration once more, for the root of the site: before the admin, which has all other addresses there.
administration_urls = [pattern for pattern in api.urls[0] if str(pattern.pattern).startswith("admin/jobs/")]
