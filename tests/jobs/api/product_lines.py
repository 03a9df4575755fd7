"""Job types that stand in for those of product lines which are not here yet."""

from jobs.processor import Backoff, JobContext, Payload, processor


class Analysis(Payload):
    paper_id: str
    providers: list[str]


@processor(queue="cpu", max_attempts=3)
def ai_analysis(payload: Analysis, job: JobContext) -> dict[str, int]:
    """Have a paper read by several providers."""
    job.progress(1, 2, "openai")
    return {"providers": len(payload.providers)}


class Custom(Payload):
    user_id: int
    action: str
    params: dict[str, str]


@processor(max_attempts=3, backoff=Backoff(base=2))
def my_custom_job(payload: Custom, job: JobContext) -> dict[str, str | bool]:
    """Do as the action says."""
    return {"success": True, "message": "Job completed"}
