"""Live changes in a web process: one subscription to Redis and one look at the rows for all who watch there.

Who watches is registered before the row is read, so that no change gets lost between. Messages only say where to
look, and how far a run is; every few seconds all watched rows are read in any case. So without Redis everything
comes a little later. How a job looks to a client is `jobs.api`'s business.
"""

from jobs.live.hub import hub
from jobs.live.reading import Seen, activity, read
from jobs.live.watching import Watched, Watcher

__all__ = ["Seen", "Watched", "Watcher", "activity", "hub", "read"]
