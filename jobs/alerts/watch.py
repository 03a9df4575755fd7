"""The thread that looks at the rules while it leads."""

from jobs.alerts.states import look
from jobs.leadership import Candidate


class Watch(Candidate):
    """A candidate for the lead: one in each worker and each beat."""

    duty = "alerts"
    interval = 15.0
    term = 3 * interval  # mail may take its time
    statement_timeout = 30_000

    def round(self) -> None:
        look()
