"""What the job types of the EVE companion share: queues and retries, whose a character is, the shape of results."""

from functools import partial
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, Discard, Payload, processor

from .models import Character

TOKENS: Final = "token_refresh"
REFRESHES: Final = "esi_refresh"
HISTORIES: Final = "historical_data"
CLEANING: Final = "cache_cleanup"
LARGEST: Final = 2**63 - 1  # id that a column holds

token_processor = partial(processor, queue=TOKENS, priority="high", max_attempts=3, backoff=Backoff(base=2, max=60))
refresh_processor = partial(processor, queue=REFRESHES, max_attempts=3, backoff=Backoff(base=2, max=60))
history_processor = partial(processor, queue=HISTORIES, priority="low", max_attempts=2, backoff=Backoff(base=5, max=60))
cleaning_processor = partial(processor, queue=CLEANING, priority="low", max_attempts=1)

Id = Annotated[int, Field(ge=1, le=LARGEST)]


class OfCharacter(Payload):
    """What a job about one character needs to know."""

    character_id: Id = Field(description="EVE's id of the character.")
    user_id: Id = Field(description="The user, who must own the character.")

    def character(self) -> Character:
        """The character. Raises Discard when it is another user's, or nobody's."""
        found = Character.objects.filter(pk=self.character_id, user_id=self.user_id).first()
        if found is None:
            raise Discard(f"characterId: user {self.user_id} has no character {self.character_id}")
        return found


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
