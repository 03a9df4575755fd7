"""What the job types of the CRM have in common: their queue and retries, ids in payloads, the shape of results."""

from functools import partial
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, processor

from .models.customers import KEY_LENGTH

QUEUE: Final = "crm"
REPORTS: Final = "reports"  # another queue: a report computes, it does not wait

crm_processor = partial(processor, queue=QUEUE, max_attempts=4, backoff=Backoff(base=2, max=300), timeout=300)


def _key(value: object) -> object:
    """Systems with numbered rows send numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Key = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=KEY_LENGTH),
    BeforeValidator(_key),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}, {"type": "integer"}]}),
]


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
