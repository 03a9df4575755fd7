"""Rules about what must not go unseen, and the telling when one holds.

`conditions` says what holds now, `states` opens and resolves alerts by it and tells people,
`watch` is the thread that does so. Beat and every worker have one; one of them leads, so that
somebody is left to tell when all workers are gone.
"""

from jobs.alerts.conditions import words
from jobs.alerts.states import channels, prune, shown, silence, try_channels, unsilence

__all__ = ["channels", "prune", "shown", "silence", "try_channels", "unsilence", "words"]
