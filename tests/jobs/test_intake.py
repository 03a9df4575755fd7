"""What becomes of messages that another Celery client has put on a queue, from the message on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery
from celery.worker import loops
from celery.worker.consumer import Consumer
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from kombu import Connection, Queue
from pytest_django.fixtures import Settings

from jobs import upkeep
from jobs.intake import Intake, take_in
from jobs.models import Event, Job, Status
from tests.jobs import stand_ins  # noqa: F401  (job types)

pytestmark = pytest.mark.django_db
Post = Callable[..., Any]


@pytest.fixture
def client() -> Celery:
    """A Celery application that knows nothing of ours."""
    return Celery("elsewhere", broker=settings.REDIS_URL, set_as_current=False)


@pytest.fixture
def receive() -> Iterator[Callable[[], Any]]:
    """The next message, as a worker's consumer gets it."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        server.flushdb()
    received: list[Any] = []
    ours = Connection(
        settings.REDIS_URL,
        transport=settings.CELERY_BROKER_TRANSPORT,
        transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
    )
    queues = [Queue(name, routing_key=name) for name in settings.JOBS_QUEUES]

    def receive_one() -> Any:
        with ours.Consumer(queues, on_message=received.append, accept=["json"]):
            while not received:
                ours.drain_events(timeout=10)
        return received.pop()

    yield receive_one
    ours.release()


@pytest.fixture
def post(client: Celery, receive: Callable[[], Any]) -> Post:
    """What `send_task` sends, received."""

    def send(name: str = "greet_guest", kwargs: Any = None, *, queue: str = "default", **options: Any) -> Any:
        client.send_task(name, kwargs={"guestName": "Ada"} if kwargs is None else kwargs, queue=queue, **options)
        return receive()

    return send


@pytest.fixture
def raw(receive: Callable[[], Any], client: Celery) -> Post:
    """A message of any shape."""

    def send(body: Any = ([], {"guestName": "Ada"}, {}), *, serializer: str = "json", **headers: Any) -> Any:
        given = {"task": "greet_guest", "id": str(uuid4()), **headers}
        with client.connection() as connection, connection.Producer(serializer=serializer) as producer:
            producer.publish(body, routing_key="default", headers={k: v for k, v in given.items() if v is not None})
        return receive()

    return send


def refusal() -> str:
    """Why the one message was refused."""
    assert not Job.objects.exists()
    event = Event.objects.get()
    assert (event.kind, event.actor, event.queue) == ("message-refused", "intake", "default")
    return event.reason


def test_a_message_becomes_the_job_that_a_call_would_have_made(post: Post) -> None:
    sent = str(uuid4())
    take_in([post(task_id=sent)])
    job = Job.objects.get()
    assert (job.id, job.type, job.queue, job.status) == (UUID(sent), "greet_guest", "default", Status.PENDING)
    assert job.payload == {"guestName": "Ada", "times": 1, "apiToken": ""}
    assert (job.priority, job.attempt, job.max_attempts, job.timeout) == (5, 0, 3, settings.JOBS_TIMEOUT)
    assert job.created_by.startswith("intake gen")
    assert not Event.objects.exists()


def test_snake_case_and_hyphens_and_positional_arguments(post: Post) -> None:
    take_in([post("greet-guest", {"guest_name": "Grace"})])
    take_in([post("add_guests", {"arriving": 2}, args=[1])])
    assert sorted(Job.objects.values_list("type", flat=True)) == ["add_guests", "greet_guest"]
    assert Job.objects.get(type="add_guests").payload == {"args": [1], "kwargs": {"arriving": 2}}


def test_its_options_are_the_jobs(post: Post) -> None:
    due, end = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)
    parent = str(uuid4())
    take_in([post(eta=due, expires=end, priority=8, retries=2, time_limit=60, soft_time_limit=50, parent_id=parent)])
    job = Job.objects.get()
    assert (job.status, job.scheduled_at, job.expires_at) == (Status.SCHEDULED, due, end)
    assert (job.priority, job.attempt, job.max_attempts, job.timeout) == (8, 2, 3, 60)
    assert job.parent == UUID(parent)


def test_a_parent_elsewhere_is_left_out(post: Post) -> None:
    take_in([post(parent_id="mother")])
    assert Job.objects.get().parent is None


def test_the_older_message_protocol(client: Celery, post: Post) -> None:
    client.conf.task_protocol = 1
    take_in([post(countdown=3600)])
    job = Job.objects.get()
    assert (job.type, job.payload["guestName"], job.status) == ("greet_guest", "Ada", Status.SCHEDULED)


def test_a_message_that_comes_twice_is_one_job(post: Post) -> None:
    sent = str(uuid4())
    first, second = post(task_id=sent), post(task_id=sent)
    take_in([first, second])
    take_in([first])
    assert Job.objects.count() == 1
    assert not Event.objects.exists()


def test_a_bad_message_is_told_and_holds_up_no_other(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    sent = str(uuid4())
    take_in([post("nonsense", task_id=sent), post()])
    event = Event.objects.get()
    assert (event.kind, event.actor, event.queue) == ("message-refused", "intake", "default")
    assert event.reason == "unknown job type 'nonsense'"
    assert event.after is not None
    assert (event.after["id"], event.after["task"]) == (sent, "nonsense")
    assert f"message {sent} on queue default refused: unknown job type 'nonsense'" in caplog.text
    assert Job.objects.get().type == "greet_guest"


def test_a_wrong_payload_is_told_without_its_values(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    take_in([post("greet_guest", {"times": 11, "apiToken": ["hush-hush"], "guestName": "Ada"})])
    assert "times: Input should be less than or equal to 10" in refusal()
    assert "hush-hush" not in refusal() + caplog.text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task_id": "not-a-uuid"}, "id: expected a UUID, got 'not-a-uuid'"),
        ({"expires": datetime(2020, 1, 1, tzinfo=UTC)}, "expires: 2020-01-01T00:00:00+00:00 is in the past"),
        ({"priority": 11}, "priority: expected 1 to 10 or one of batch, low, normal, high, critical, got 11"),
        (
            {"name": "celery.backend_cleanup", "kwargs": {}},
            "celery.backend_cleanup is Celery's own task",
        ),
        ({"name": "add_guests", "kwargs": {"leaving": 1}}, "add_guests: "),
    ],
)
def test_what_is_refused_of_a_call(post: Post, options: dict[str, Any], reason: str) -> None:
    take_in([post(**options)])
    assert reason in refusal()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"id": None}, "id: expected a UUID, got None"),
        ({"task": {"no": "name"}}, "unknown job type"),
        ({"body": ([], {}, {}), "serializer": "pickle"}, "its content cannot be read: Refusing to deserialize"),
        ({"body": "text"}, "it is malformed: "),
        ({"body": ("args", {}, {})}, "args must be a list"),
        ({"body": ([], [1], {})}, "args must be a list, and kwargs an object"),
        ({"task": None, "body": 7}, "it is malformed: "),
        ({"task": None, "body": {"task": "greet_guest"}}, "id: expected a UUID"),
        ({"eta": 7}, "eta: expected a date and time, got 7"),
        ({"eta": "soon"}, "eta: expected a date and time, got 'soon'"),
        ({"retries": "many"}, "retries: expected a whole number, got 'many'"),
        ({"timelimit": [0.0001, None]}, "timeout: expected a number"),
        ({"timelimit": "x"}, "it is malformed: "),
        ({"id": "\x00\ud800"}, "id: expected a UUID"),
        ({"body": ([], {"guestName": "\x00"}, {})}, "a NUL character"),
        ({"body": ([], {"guestName": "x" * 300_000}, {})}, "too large"),
    ],
)
def test_what_is_refused_of_a_message(raw: Post, message: dict[str, Any], reason: str) -> None:
    take_in([raw(**message)])
    assert reason in refusal()


@pytest.mark.parametrize("part", ["callbacks", "errbacks", "chain", "chord"])
def test_a_canvas_of_another_client_is_refused(raw: Post, part: str) -> None:
    take_in([raw(([], {"guestName": "Ada"}, {"callbacks": None, part: [{"task": "greet_guest"}]}))])
    assert refusal() == "it carries callbacks, a chain or a chord: only single tasks become jobs"


def test_a_queue_that_has_not_opted_in(post: Post, settings: Settings) -> None:
    settings.JOBS_QUEUES = {**settings.JOBS_QUEUES, "default": {"worker": "io"}}
    take_in([post()])
    assert refusal() == "queue default takes no messages of other clients"


def test_one_that_postgres_refuses_holds_up_no_other(post: Post) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_job ADD CONSTRAINT no_ada CHECK (payload ->> 'guestName' <> 'Ada')")
    intake = Intake()
    messages = [post(), post(kwargs={"guestName": "Grace"})]
    for message in messages:
        intake.receive(message)
    intake._write(messages)
    assert [job.payload["guestName"] for job in Job.objects.all()] == ["Grace"]
    assert "no_ada" in Event.objects.get().reason
    assert not intake.received
    assert all(message.acknowledged for message in messages)


def test_refusals_are_kept_as_long_as_failed_jobs(post: Post) -> None:
    take_in([post("nonsense")])
    assert sum(upkeep.pruning()) == 0
    assert Event.objects.count() == 1
    Event.objects.update(at=Now() - timedelta(seconds=settings.JOBS_RETENTION["failed"] + 1))
    Event.objects.create(queue="default", kind="paused", actor="ada", at=Now() - timedelta(days=900))
    list(upkeep.pruning())
    assert [event.kind for event in Event.objects.all()] == ["paused"]


def test_celery_hands_messages_to_whatever_the_consumer_says() -> None:
    """Seams: a release that moves one of them must be met here."""
    consumer = type("Stand", (), {"on_ready": staticmethod(lambda: None), "connection": None})()
    consumer.create_task_handler = lambda: "ours"
    consumer.perform_pending_operations = consumer.pool = consumer.on_ready
    messages = type("Messages", (), {"consume": staticmethod(lambda: None)})()
    blueprint = type("Blueprint", (), {"state": None})()
    loops.synloop(consumer, None, messages, blueprint, None, None, 0, None)
    assert messages.on_message == "ours"
    assert {"create_task_handler", "on_decode_error"} <= vars(Consumer).keys()
