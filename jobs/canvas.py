"""Celery's canvas as steps: what follows a job, frozen as data in its row.

A *step* is a job that is not a row yet:

    {"id", "type", "payload", "queue", "priority", "max_attempts", "timeout", and where they are given
     "backoff", "delay", "scheduled_at", "expires_in", "expires_at", "tags", "group",
     "takes": the payload field that receives the result before it ("" a plain task's first argument, absent: none),
     "explains": true when an error callback wants (job, message, traceback),
     "canvas": {"then": [steps after success], "on_error": [steps after failure],
                "chord": {"id", "index", "size", "body": [steps]},     of a chord's member
                "members": {"group", "takes"}}}                         of a chord's body

Each step's id is the one Celery froze, so that a second dispatch, or a revival, meets the same row.
Here only the shape is made; `jobs.processor` resolves a signature's payload and options.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Signature
from celery.canvas import _chain, group, maybe_signature
from celery.canvas import chord as _chord
from celery.utils.functional import arity_greater, maybe_list

from jobs.encoding import levels
from jobs.errors import InvalidCanvas

Step = dict[str, Any]
Resolve = Callable[[Signature[Any], bool], Step]  # signature, takes a result → step without canvas

MAX_STEPS = 10_000
MAX_DEPTH = 100  # of signatures within signatures; a cyclic one is deeper than any limit
MAX_LEVELS = 750  # of JSON: three for each step of a chain; Python's encoder stops at 1,000, less what called it


@contextmanager
def planning() -> Iterator[None]:
    """Around all that handles nested signatures: Celery copies them by recursion."""
    try:
        yield
    except RecursionError:
        raise InvalidCanvas(f"a canvas nested deeper than {MAX_DEPTH}") from None


def check_size(planned: Any) -> None:
    """Refuse what no worker could read again. The rest of a chain is inside of its first step."""
    if levels(planned) > MAX_LEVELS:
        raise InvalidCanvas(f"too many steps one after another: the most is about {MAX_LEVELS // 3}")


class Planner:
    """Turns frozen signatures into steps. One for each dispatch: it counts steps and remembers their ids."""

    def __init__(self, app: Celery, resolve: Resolve) -> None:
        self.app = app
        self.resolve = resolve
        self.ids: set[str] = set()
        self.depth = 0

    def plan(
        self, signature: Signature[Any], then: list[Step], chord: "Membership | None" = None, *, takes: bool = True
    ) -> list[Step]:
        """The steps that start when `signature` does; `then` follows its end, which counts in `chord`.

        `takes`: it is handed the result of what came before it, unless it is immutable.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InvalidCanvas(f"cyclic canvas, or one nested deeper than {MAX_DEPTH}")
        try:
            if isinstance(signature, _chain):
                return self._chain(signature, then, chord, takes)
            if isinstance(signature, _chord):
                return self._chord(signature, then, chord, takes)
            if isinstance(signature, group):
                return self._group(signature, then, chord, takes)
            return [self._task(signature, then, chord, takes)]
        finally:
            self.depth -= 1

    def _chain(self, signature: _chain, then: list[Step], chord: "Membership | None", takes: bool) -> list[Step]:
        tasks, _ = signature._frozen  # type: ignore[attr-defined]  # the last one first, each group that has a successor made a chord
        following = then
        for place, task in enumerate(tasks):
            first = place == len(tasks) - 1
            following = self.plan(task, following, chord if place == 0 else None, takes=takes or not first)
        return following

    def _chord(self, signature: _chord, then: list[Step], chord: "Membership | None", takes: bool) -> list[Step]:
        members = Membership(signature.tasks.id, self.plan(signature.body, then, chord))
        steps = self._group(signature.tasks, [], members, takes)
        members.close()
        return steps or members.body  # of no members: nothing to wait for

    def _group(self, signature: group, then: list[Step], chord: "Membership | None", takes: bool) -> list[Step]:
        if then:
            raise InvalidCanvas("a group cannot be followed by callbacks: make it a chord")
        steps = [step for member in signature.tasks for step in self.plan(member, [], chord, takes=takes)]
        if chord is None:
            for step in steps:
                step.setdefault("group", signature.id)  # the members of a chord in this group are that chord's
        return steps

    def _task(self, signature: Signature[Any], then: list[Step], chord: "Membership | None", takes: bool) -> Step:
        step = self.resolve(signature, takes and not signature.immutable)
        if step["id"] in self.ids:
            raise InvalidCanvas(f"cyclic canvas: {step['type']} with id {step['id']} is in it twice")
        self.ids.add(step["id"])
        if len(self.ids) > MAX_STEPS:
            raise InvalidCanvas(f"a canvas may have {MAX_STEPS:,} steps")
        options = signature.options
        canvas = self.callbacks(options.get("link"), options.get("link_error"), then)
        if chord is not None:
            chord.add(step, canvas)
        if canvas:
            step["canvas"] = canvas
        return step

    def callbacks(self, link: Any, link_error: Any, then: list[Step]) -> dict[str, Any]:
        """The canvas of a job with these callbacks, followed by `then`."""
        after = [step for signature in self._frozen(link) for step in self.plan(signature, [])] + then
        on_error = [step for signature in self._frozen(link_error) for step in self.plan(signature, [])]
        for step in on_error:
            if step.get("takes") == "" and arity_greater(self.app.tasks[step["type"]].__header__, 1):  # type: ignore[attr-defined]
                step["explains"] = True  # Celery's newer form of an error callback
        return ({"then": after} if after else {}) | ({"on_error": on_error} if on_error else {})

    def _frozen(self, links: Any) -> Iterable[Signature[Any]]:
        for link in maybe_list(links) or ():
            signature: Signature[Any] = maybe_signature(link, app=self.app, clone=True)  # type: ignore[assignment]
            signature.freeze()
            yield signature


class Membership:
    """A chord being planned: its members, in the order of its header, and its body."""

    def __init__(self, chord_id: str, body: list[Step]) -> None:
        self.id = chord_id
        self.body = body
        self.canvases: list[dict[str, Any]] = []
        for step in body:
            # The body reads its members' results when it starts, rather than carry them in its payload.
            if (takes := step.pop("takes", None)) is not None:
                step.setdefault("canvas", {})["members"] = {"group": chord_id, "takes": takes}

    def add(self, step: Step, canvas: dict[str, Any]) -> None:
        step["group"] = self.id
        canvas["chord"] = {"id": self.id, "index": len(self.canvases), "body": self.body}
        self.canvases.append(canvas)

    def close(self) -> None:
        for canvas in self.canvases:
            canvas["chord"]["size"] = len(self.canvases)
