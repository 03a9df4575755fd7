"""The core's own job types."""

from jobs.bulk import BulkDone, BulkOperation, perform
from jobs.processor import JobContext, Payload, processor


class Smoke(Payload):
    """What comes back as the result."""

    message: str = "hello"


@processor(queue="default", priority="high", max_attempts=1, timeout=30)
def smoke(payload: Smoke, job: JobContext) -> dict[str, str]:
    """Returns its payload: proof that a deployment takes jobs, runs them and stores results."""
    job.progress(1, 1)
    return {"message": payload.message}


@processor(queue="default", priority="high", max_attempts=5, timeout=6 * 3600)
def bulk_operation(payload: BulkOperation, job: JobContext) -> BulkDone:
    """Does one thing to every job that a query finds. Started from the dashboard only."""
    return perform(payload, job)
