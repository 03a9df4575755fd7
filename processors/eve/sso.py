"""A character's access token, for whoever asks ESI in its name.

The rest of the application needs this module's `access_token` only.
"""

from jobs.errors import Discard


class GrantLost(Discard):
    """The character's owner has to log in again."""


def access_token(character_id: int, *, renew: bool = False) -> str:
    """A token that is good for a minute at least; asks the single sign-on for new ones where it is not.

    `renew`: also when it should still be good, because ESI has refused it. Two callers at once make one call. Must not
    be called inside a transaction. Raises GrantLost, Retry, or Snooze while another worker is at it.
    """
    raise NotImplementedError
