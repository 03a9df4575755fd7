"""Celery, made to put rows where it would send messages: the application class, canvas and database fixup.

Four seams of Celery are used here, each with a test that fails when a release moves it: `send_task`,
`apply_async` of group, chain and chord, `celery.canvas.uuid`, and the Django fixup's receivers.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import celery.canvas
from celery import Celery, Signature, signals
from celery.app.control import Control
from celery.canvas import _chain, group
from celery.canvas import chord as _chord
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup  # type: ignore[attr-defined]
from celery.utils.functional import maybe_list

from jobs.ids import new_task_id


class JobsCelery(Celery):
    """A Celery application whose every task is a job."""

    def __init__(self, main: str, **options: Any) -> None:
        super().__init__(
            main,
            task_cls="jobs.processor:Processor",
            control="jobs.celery:JobsControl",
            fixups=["jobs.celery:fixup"],
            **options,
        )
        self.steps["worker"].update(("jobs.worker.step:FeedStep", "jobs.intake:IntakeStep"))

    def send_task(  # type: ignore[override]
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """A job by the name of its type."""
        from jobs.calling import get_processor  # processors are declared on this application

        for sent_only in ("result_cls", "task_type"):
            options.pop(sent_only, None)
        return get_processor(name).apply_async(args, kwargs, **options)


revoker: ContextVar[str] = ContextVar("revoker", default="revoke")  # who is told to have revoked: Flower says who


class JobsControl(Control):
    """Celery's remote control, whose `revoke` cancels rows without asking a worker first."""

    def revoke(self, task_id: Any, *args: Any, **kwargs: Any) -> Any:
        from jobs import lifecycle
        from jobs.worker.control import split

        jobs, others = split(maybe_list(task_id) or [])
        if jobs:
            lifecycle.cancel(jobs, actor=revoker.get())
        return super().revoke(others, *args, **kwargs) if others else None


# --- canvas ---------------------------------------------------------------------------------------------------

SCHEDULING = ("countdown", "eta", "delay", "scheduled_at", "task_id")  # options of a canvas that are its first steps'


def dispatch(signature: Signature[Any], args: Any, kwargs: Any, options: Mapping[str, Any]) -> Any:
    """Insert the first jobs of a chain, group or chord, with all that follows in their rows, in one statement."""
    from jobs import lifecycle
    from jobs.calling import current_job, resolve_step
    from jobs.canvas import Planner, check_size, planning
    from jobs.options import job_id

    if isinstance(signature, _chain) and not signature.tasks:
        return None  # as Celery has it
    options = {**signature.options, **options}
    kwargs = dict(kwargs or {})
    task_id = str(job_id(options["task_id"])) if options.get("task_id") else None
    with planning():
        mine = signature.clone()
        mine["options"] = {"task_id": task_id} if task_id and isinstance(mine, group) else {}
        if isinstance(mine, _chord) and (body := kwargs.pop("body", None)) is not None:
            mine.body = body.clone()  # type: ignore[misc]
        _spread(mine, {k: v for k, v in options.items() if k not in SCHEDULING}, heads_only=False)
        _spread(mine, {k: v for k, v in options.items() if k in SCHEDULING and k != "task_id"}, heads_only=True)
        _give(mine, tuple(args or ()), kwargs)
        result = mine.freeze(task_id)
        steps = Planner(signature.app, resolve_step).plan(mine, [], takes=False)
    check_size(steps)
    lifecycle.enqueue([lifecycle.job_of(step, current_job(), step["payload"]) for step in steps])
    return result


def _give(signature: Signature[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Hand a canvas's arguments to its first tasks."""
    if not args and not kwargs:
        return
    heads = _heads(signature)
    if heads is None:
        if not signature.immutable:
            signature["args"] = args + tuple(signature.args)
            signature["kwargs"] = {**signature.kwargs, **kwargs}
        return
    for head in heads:
        _give(head, args, kwargs)


def _heads(signature: Signature[Any]) -> list[Signature[Any]] | None:
    """The signatures that start first; None for a single task."""
    if isinstance(signature, _chain):
        return list(signature.tasks[:1])
    if isinstance(signature, _chord):
        return list(getattr(signature.tasks, "tasks", signature.tasks))
    return list(signature.tasks) if isinstance(signature, group) else None


def _spread(signature: Signature[Any], options: Mapping[str, Any], *, heads_only: bool) -> None:
    """Apply a canvas's options: callbacks to its end, error callbacks and the rest to each of its tasks."""
    if not options:
        return
    inner = _heads(signature)
    if inner is None:
        for link in maybe_list(options.get("link")) or ():
            signature.link(link)
        for link in maybe_list(options.get("link_error")) or ():
            signature.link_error(link)
        signature.options.update({k: v for k, v in options.items() if k not in ("link", "link_error")})
        return
    if not heads_only and isinstance(signature, _chain):
        without_link = {k: v for k, v in options.items() if k != "link"}
        for task in signature.tasks[:-1]:
            _spread(task, without_link, heads_only=False)
        inner = list(signature.tasks[-1:])
    if not heads_only and isinstance(signature, _chord):
        _spread(signature.body, options, heads_only=False)
        options = {k: v for k, v in options.items() if k not in ("link", "link_error")}
    for task in inner:
        _spread(task, options, heads_only=heads_only)


def _tracked(cls: type[Signature[Any]]) -> None:
    original = cls.apply_async

    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if not isinstance(self.app, JobsCelery) or self.app.conf.task_always_eager:
            return original(self, args, kwargs, **options)
        return dispatch(self, args, kwargs, options)

    cls.apply_async = apply_async  # type: ignore[assignment, method-assign]


for canvas_class in (_chain, _chord, group):
    _tracked(canvas_class)
celery.canvas.uuid = new_task_id  # type: ignore[attr-defined]


# --- database connections ---------------------------------------------------------------------------------------


class WorkerFixup(DjangoWorkerFixup):
    """Connections live as Django's settings say; Celery's own would open one for each task."""

    def validate_models(self) -> None:
        """With the checks that are about a worker too."""
        self.django_setup()
        from jobs.checks import check_without_pages  # only now

        check_without_pages()

    def install(self) -> DjangoWorkerFixup:
        """Without its looks at the connections before and after each job: `jobs.worker` looks once."""
        installed = super().install()
        signals.task_prerun.disconnect(self.on_task_prerun)
        signals.task_postrun.disconnect(self.on_task_postrun)
        return installed


class Fixup(DjangoFixup):
    _worker_fixup: WorkerFixup | None

    @property
    def worker_fixup(self) -> WorkerFixup:
        if self._worker_fixup is None:  # not before the application is configured
            self._worker_fixup = WorkerFixup(self.app)
        return self._worker_fixup


def fixup(app: Celery) -> Fixup:
    """Named by `JobsCelery`; runs before tasks are loaded."""
    installed = Fixup(app)
    installed.install()
    return installed


@signals.worker_init.connect
def without_event_loop(sender: Any, **kwargs: Any) -> None:
    """Every pool then has threads of its own, and the broker connection concerns Celery's control only."""
    if isinstance(sender.app, JobsCelery):
        sender.use_eventloop = False


@signals.beat_init.connect
def watch_alerts(sender: Any, **kwargs: Any) -> None:
    """Beat looks at the alert rules too: it is left when all workers are gone."""
    from jobs.alerts.watch import Watch

    Watch(sender.scheduler.holder).start()
