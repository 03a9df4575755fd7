"""What the job types of the EVE companion share: queues and retries, whose a character is, the shape of results."""

from functools import partial
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, Discard, Payload, processor

from .models import Character

LARGEST: Final = 2**63 - 1  # id that a column holds

Id = Annotated[int, Field(ge=1, le=LARGEST)]

token_processor = partial(processor, queue="token_refresh", priority="high", max_attempts=3, backoff=Backoff(base=2))
refresh_processor = partial(processor, queue="esi_refresh", priority="high", max_attempts=3, backoff=Backoff(base=2))
history_processor = partial(processor, queue="historical_data", priority="low", max_attempts=2, backoff=Backoff(base=5))
cleaning_processor = partial(processor, queue="cache_cleanup", priority="low", max_attempts=1)


class OfCharacter(Payload):
    """What a job about one character is told."""

    character_id: Id = Field(description="EVE Online's id.")
    user_id: Id = Field(description="Whose the character is.")

    def character(self) -> Character:
        """The character. Raises Discard when it is another user's."""
        return owned(self.character_id, self.user_id)


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def owned(character_id: int, user_id: int) -> Character:
    """The user's character. Raises Discard when it is another's, or nobody's."""
    character = Character.objects.filter(pk=character_id, user_id=user_id).first()
    if character is None:
        raise Discard(f"characterId: user {user_id} has no character {character_id}")
    return character
