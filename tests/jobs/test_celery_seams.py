"""Where Celery 5.7, kombu and billiard let us in: a release that moves one of these must be met here, not by a worker.

The seams of the transport, of events, of the intake and of Flower are tested where they are used.
"""

import inspect
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import celery.apps.worker
import celery.canvas
import pytest
from billiard import pool
from celery import Celery, bootsteps, chain, current_app, group, signals
from celery.app.task import Task
from celery.app.trace import build_tracer, trace_ok_t
from celery.canvas import Signature
from celery.concurrency import prefork, solo, thread
from celery.concurrency.base import BasePool
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup  # type: ignore[attr-defined]
from celery.worker import WorkController, components, loops, state
from celery.worker.control import Panel
from celery.worker.request import Request

from jobs import processor, results
from jobs.celery import JobsCelery, JobsControl
from jobs.lifecycle import Claimed
from jobs.worker import control, request
from jobs.worker.held import Held
from jobs.worker.prefork import Pool
from tests.integration.workers import environment

apps, billiard, controller = (cast("Any", module) for module in (celery.apps.worker, pool, WorkController))

ASSEMBLED = """
import json, sys
from config.celery import app
worker = app.Worker(pool=sys.argv[1], concurrency=2, queues=["default", "cpu"], hostname="seams@here")
steps = [step.name for step in worker.blueprint.order]
feed = next(step for step in worker.blueprint.order if step.name == "jobs.worker.step.FeedStep")
print(json.dumps({
    "steps": steps,
    "use_eventloop": worker.use_eventloop,
    "pool": f"{type(worker.pool).__module__}.{type(worker.pool).__qualname__}",
    "threads": worker.pool.options.get("threads"),
    "processes": worker.pool.limit,
    "queues": sorted(worker.app.amqp.queues.consume_from),
    "consumer": hasattr(worker, "consumer"),
    "feed": feed.feed.name,
    "exitcode": worker.exitcode,
    "autoscale": worker.autoscale,
    "pages": "config.urls" in sys.modules,
}), file=sys.__stdout__)  # what a worker prints goes to its log
"""


def names(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def source(thing: Any) -> str:
    return inspect.getsource(thing)


# --- the worker -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prefork", "jobs.worker.prefork.TaskPool"),
        ("threads", "celery.concurrency.thread.TaskPool"),
        ("solo", "celery.concurrency.solo.TaskPool"),
    ],
)
def test_a_worker_as_celery_assembles_it(name: str, kind: str) -> None:
    env = environment(DJANGO_SETTINGS_MODULE="config.settings")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASSEMBLED, name], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)
    steps = worker["steps"]
    places = [steps.index(step) for step in ("celery.worker.components.Pool", "jobs.worker.step.FeedStep")]
    places.append(steps.index("celery.worker.components.Consumer"))
    assert places == sorted(places)
    assert worker["use_eventloop"] is False
    assert worker["pool"] == kind
    assert worker["threads"] is True
    assert worker["processes"] == (1 if name == "solo" else 2)
    assert worker["queues"] == ["cpu", "default"]
    assert worker["feed"].startswith("seams@here:")
    assert (worker["exitcode"], worker["autoscale"]) == (None, None)
    assert worker["pages"] is False  # its start does not import what only the site needs


def test_steps_are_made_before_any_of_them_is_included() -> None:
    # So ours can change the class of the pool, and its children inherit what is made before they are forked.
    text = source(bootsteps.Blueprint.apply)
    assert text.index("step = S(parent, **kwargs)") < text.index("step.include(parent)")
    assert "self.instantiate(" in source(components.Pool.create)
    assert "w.pool_cls" in source(components.Pool.create)
    assert "threaded = not w.use_eventloop" in source(components.Pool.create)


def test_the_application_brings_its_steps() -> None:
    assert {"jobs.worker.step:FeedStep", "jobs.intake:IntakeStep"} <= current_app.steps["worker"]
    assert {"start", "stop", "terminate", "close"} <= set(dir(bootsteps.StartStopStep))


def test_a_worker_that_is_told_to_stop() -> None:
    handler = source(apps._shutdown_handler)
    assert handler.index("signals.worker_shutting_down.send(") < handler.index("setattr(state, {'Warm'")
    assert {"should_stop", "should_terminate"} <= vars(state).keys()
    assert "raise WorkerShutdown(should_stop)" in source(state.maybe_shutdown)
    assert "drain_events(timeout=2.0)" in source(loops.synloop)
    assert "signals.worker_init.send(sender=self)" in source(controller.setup_instance)
    assert isinstance(signals.worker_shutting_down, celery.utils.dispatch.Signal)
    assert "self.blueprint.stop(self, terminate=not warm)" in source(controller._shutdown)


# --- pools ------------------------------------------------------------------------------------------------------------


def test_what_a_pool_is_asked_for() -> None:
    assert {"target", "args", "kwargs", "options"} <= names(BasePool.apply_async)
    asked = {"callback", "accept_callback", "error_callback", "timeout_callback", "soft_timeout", "correlation_id"}
    assert asked <= names(billiard.Pool.apply_async)
    assert "callback" in names(thread.TaskPool.on_apply)
    assert {"pid", "sig"} == names(billiard.Pool.terminate_job) - {"self"}
    for kind in (prefork.TaskPool, thread.TaskPool, solo.TaskPool):
        assert isinstance(kind.num_processes, property)
        assert callable(kind.on_close)
        assert callable(kind.on_stop)
    assert "self.on_close()" in source(BasePool.close)
    assert "self._pool.close()" in source(prefork.TaskPool.on_stop)  # so our on_close may do nothing
    assert "self.on_stop()" in source(BasePool.stop)
    assert "worker.consumer.pool.stop()" in source(apps.on_cold_shutdown)
    assert "with in_sighandler():" in source(apps._shutdown_handler)


def test_children_that_are_killed_by_the_end_of_their_thread() -> None:
    assert "set_pdeathsig('SIGKILL')" in source(prefork.process_initializer)


def test_the_parts_of_billiards_pool_that_ours_replaces() -> None:
    theirs = vars(billiard.Pool)
    ours = {name for name, value in vars(Pool).items() if inspect.isfunction(value)} - {"_hand_over", "_read"}
    assert ours == {
        "_setup_queues",
        "get_process_queues",
        "_create_worker_process",
        "on_job_process_lost",
        "mark_as_worker_lost",
    }
    for name in ours:
        assert (
            inspect.signature(theirs[name]).parameters.keys() == inspect.signature(vars(Pool)[name]).parameters.keys()
        )
    assert "self.Pool" in source(prefork.TaskPool.on_start)
    assert "self.BlockingPool if self.options.get('threads', True)" in source(prefork.TaskPool.on_start)


def test_what_our_pool_takes_for_granted_of_billiards() -> None:
    made = source(billiard.Pool.__init__)
    assert made.index("self._setup_queues()") < made.index("self._create_worker_process(i)")
    assert "self._quick_put," in made
    assert "self._poll_result" in source(billiard.Pool.create_result_handler)
    create = source(billiard.Pool._create_worker_process)
    assert create.index("self.get_process_queues()") < create.index("w.start()")
    assert "put(None)" in source(billiard.TaskHandler.tell_others)
    lost = source(billiard.Pool._join_exited_workers)
    assert "job.worker_pids()" in lost
    assert "self.mark_as_worker_lost(job, lost_ret)" in lost
    assert "job._set_terminated(exitcode)" in lost
    result = billiard.ApplyResult({}, None)
    assert result._worker_pid is None
    assert (result._accepted, result._time_accepted, result._worker_lost) == (False, None, None)
    result._worker_pid = 7
    assert result.worker_pids() == [7]
    task = source(billiard.Pool.apply_async)
    assert "(TASK, (result._job, None," in task


# --- requests, the tracer, remote control -----------------------------------------------------------------------------


def claimed(type_: str, payload: dict[str, Any]) -> Claimed:
    return Claimed(uuid4(), 1, 1, 3, 0, type_, json.dumps(payload), "default", 5, 60.0, None, None, None, None)


def test_a_request_without_a_message() -> None:
    sent: list[tuple[Any, ...]] = []
    events: Any = SimpleNamespace(enabled=True, send=lambda *type_, **fields: sent.append((*type_, fields)))
    job = claimed("smoke", {"message": "hello"})
    held = Held(job)
    task = processor.get_processor("smoke")
    held.request = request.build(held, task, "seams@here", events)
    try:
        assert held.request.id == str(job.id)
        assert (held.request.name, held.request.hostname) == ("smoke", "seams@here")
        assert state.requests[str(job.id)] is held.request
        request.accept(held, 4711)
        assert held.request.worker_pid == 4711
        assert held.request in state.active_requests
        info = held.request.info()
        assert (info["id"], info["type"], info["worker_pid"]) == (str(job.id), "smoke", 4711)
        assert (info["args"], info["kwargs"]) == ("()", "{'message': 'hello'}")
        assert info["delivery_info"]["routing_key"] == "default"
        assert "'message': 'hello'" in repr(held.request)
        assert (held.request.root_id, held.request.parent_id, held.request.app) == (str(job.id), None, task.app)
        # What no message said, Celery takes to be nothing.
        assert (held.request.group, held.request.stamps, held.request.replaced_task_nesting) == (None, {}, 0)
    finally:
        state.task_ready(held.request)
    assert held.request not in state.active_requests
    assert str(job.id) not in state.requests
    assert [type_ for type_, _ in sent] == ["task-received", "task-started"]
    assert "self._announce_revoked(" in source(Request)


def test_the_tracer_returns_what_became_of_a_body() -> None:
    assert trace_ok_t._fields == ("retval", "info", "runtime", "retstr")
    assert list(inspect.signature(build_tracer).parameters)[:5] == [
        "name",
        "task",
        "loader",
        "hostname",
        "store_errors",
    ]
    task = processor.get_processor("smoke")
    assert isinstance(task, Task)
    assert "__trace__" in source(build_tracer) or hasattr(Task, "__trace__")


def test_remote_commands_replace_celerys() -> None:
    assert Panel.data["stop_job"] is control.stop_job
    assert Panel.data["revoke"] is control.revoke
    assert {"state", "task_id", "terminate", "signal"} <= names(control._revoke)
    assert isinstance(current_app.control, JobsControl)


# --- the application, canvas, results, Django -------------------------------------------------------------------------


def test_every_way_to_send_a_task_goes_through_ours() -> None:
    assert isinstance(current_app._get_current_object(), JobsCelery)  # type: ignore[attr-defined]
    assert names(Celery.send_task) >= {"name", "args", "kwargs"}
    assert names(Task.apply_async) - {"self", "options"} <= names(processor.Processor.apply_async)
    assert isinstance(current_app.backend, results.JobBackend)
    for canvas in (chain, group, celery.canvas.chord):
        assert canvas.apply_async.__module__ in ("jobs.celery", "celery.canvas")
    assert celery.canvas._chain.apply_async.__module__ == "jobs.celery"
    assert celery.canvas.group.apply_async.__module__ == "jobs.celery"


def test_ids_are_frozen_by_ours() -> None:
    task = processor.get_processor("smoke")
    assert Signature("smoke").freeze().id[14] == "7"
    frozen = chain(task.s(), task.si())
    frozen.freeze()
    tasks, made = frozen._frozen  # type: ignore[attr-defined]
    assert [step.task for step in tasks] == ["smoke", "smoke"]
    assert made[0].parent.id == tasks[1].id  # the last one first


def test_the_fixup_of_django() -> None:
    assert {"on_task_prerun", "on_task_postrun", "close_cache"} <= vars(DjangoWorkerFixup).keys()
    assert isinstance(vars(DjangoFixup)["worker_fixup"], property)
    assert "_worker_fixup" in source(DjangoFixup.__init__)
