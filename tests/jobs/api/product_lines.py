"""Job types that stand in for those of product lines which are not here yet."""

from jobs.processor import Backoff, JobContext, Payload, processor


class Custom(Payload):
    user_id: int
    action: str
    params: dict[str, str]


@processor(max_attempts=3, backoff=Backoff(base=2))
def my_custom_job(payload: Custom, job: JobContext) -> dict[str, str | bool]:
    """Do as the action says."""
    return {"success": True, "message": "Job completed"}
