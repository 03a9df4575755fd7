"""ESI's two limits: tokens by rate group and character, which come back after a while, and errors a minute for all."""

import math
import time
from collections import defaultdict, deque

from .routes import BUCKETS, WINDOW
from .switches import Switches

SUCCESS = 2  # tokens


def cost(status: int) -> int:
    """Tokens that an answer takes."""
    return 0 if status == 429 else {2: SUCCESS, 3: 1, 4: 5}.get(status // 100, 0)


class Buckets:
    """What was spent lately, by group and whose it is."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._spent: defaultdict[tuple[str, int], deque[tuple[float, int]]] = defaultdict(deque)

    def _size(self, group: str) -> tuple[int, float]:
        return self._switches.buckets.get(group, (BUCKETS[group], WINDOW))

    def left(self, group: str, whose: int) -> int:
        tokens, window = self._size(group)
        spent, now = self._spent[group, whose], time.time()
        while spent and spent[0][0] + window <= now:
            spent.popleft()
        return max(0, tokens - sum(cost for _, cost in spent))

    def wait(self, group: str, whose: int) -> int:
        """Whole seconds until a successful answer can be paid for; 0: now."""
        missing = SUCCESS - self.left(group, whose)
        _, window = self._size(group)
        for at, tokens in self._spent[group, whose]:
            if missing <= 0:
                return 0
            missing -= tokens
            if missing <= 0:
                return max(1, math.ceil(at + window - time.time()))
        return 0

    def spend(self, group: str, whose: int, status: int) -> dict[str, str]:
        """Take the tokens of an answer, and the headers that tell of them."""
        tokens, window = self._size(group)
        taken = cost(status)
        if taken:
            self._spent[group, whose].append((time.time(), taken))
        span = f"{window / 60:.0f}m" if window % 60 == 0 else f"{window:g}s"
        return {
            "x-ratelimit-group": group,
            "x-ratelimit-limit": f"{tokens}/{span}",
            "x-ratelimit-remaining": str(self.left(group, whose)),
            "x-ratelimit-used": str(taken),
        }


class ErrorLimit:
    """Errors in the current window, over all routes without a bucket."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._since = 0.0
        self._errors = 0

    def wait(self) -> int:
        """Whole seconds until anything is answered again; 0: now."""
        allowed, _ = self._switches.error_limit
        left = self._left()
        return left if self._errors >= allowed else 0

    def count(self, status: int) -> dict[str, str]:
        """Note an answer, and the headers that tell what is left."""
        left = self._left()
        if status >= 400:
            self._errors += 1
        allowed, _ = self._switches.error_limit
        return {
            "x-esi-error-limit-remain": str(max(0, allowed - self._errors)),
            "x-esi-error-limit-reset": str(left),
        }

    def _left(self) -> int:
        """Whole seconds left of the window; a new one begins when it is over."""
        _, window = self._switches.error_limit
        if time.time() >= self._since + window:
            self._since, self._errors = time.time(), 0
        return max(1, math.ceil(self._since + window - time.time()))
