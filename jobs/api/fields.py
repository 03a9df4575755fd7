"""Of what the API's bodies are made: camelCase outside, snake_case accepted in them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from jobs.models import Priority

PRIORITY_NAMES = {name.lower(): value for name, value in Priority.__members__.items()}


class Camel(BaseModel):
    """camelCase names in JSON; both spellings are read."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


def _number(priority: Any) -> Any:
    if isinstance(priority, str):
        if priority not in PRIORITY_NAMES:
            raise ValueError(f"a number from 1 to 10 or one of {', '.join(PRIORITY_NAMES)}")
        return PRIORITY_NAMES[priority].value
    return priority


def _written(moment: Any) -> Any:
    if not isinstance(moment, str):
        raise ValueError("a date and time in ISO 8601 with its UTC offset, as a string")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


PriorityIn = Annotated[
    int,
    Field(strict=True, ge=1, le=10),
    BeforeValidator(_number),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10},
                {"type": "string", "enum": list(PRIORITY_NAMES)},
            ],
            "description": "10 runs first.",
        }
    ),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]
Word = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Text = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
