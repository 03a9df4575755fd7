"""What the job types of the EVE companion share: ids in payloads, whose a character is, the shape of results."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobs.errors import Discard

from .models import Character

LARGEST: Final = 2**63 - 1  # id that a column holds

Id = Annotated[int, Field(ge=1, le=LARGEST)]


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def owned(character_id: int, user_id: int) -> Character:
    """The user's character. Raises Discard when it is another's, or nobody's."""
    character = Character.objects.filter(pk=character_id, user_id=user_id).first()
    if character is None:
        raise Discard(f"characterId: user {user_id} has no character {character_id}")
    return character
