"""The settings as a whole, each time in a process of their own with nothing in its environment but what is given."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOUND = {
    "SECRET_KEY": "a-secret-of-more-than-fifty-characters-for-tests-1234567890",
    "ALLOWED_HOSTS": "jobs.example",
    "SECURE_PROXY_SSL_HEADER": "X-Forwarded-Proto",
    "REDIS_URL": "redis://:secret@localhost:1/0",
    "DATABASE_URL": "postgres://localhost:1/jobs",
}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def settings(*names: str, **environment: str) -> list[object]:
    code = f"import json; from config import settings as s; print(json.dumps([{', '.join(f's.{n}' for n in names)}]))"
    done = python("-c", code, **environment)
    assert done.returncode == 0, done.stderr
    values: list[object] = json.loads(done.stdout)
    return values


def refusal(**environment: str) -> str:
    done = python("manage.py", "check", **environment)
    assert done.returncode != 0
    return done.stderr.strip()


def test_every_variable_is_in_the_docs_and_the_other_way_round() -> None:
    code = "".join((ROOT / name).read_text() for name in ("config/settings.py", "config/rooms.py"))
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', code))
    read |= set(re.findall(r'"([A-Z_]+)": [01]\b', code))  # older names
    read |= {"REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"}
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/settings.md").read_text(), re.M))
    assert documented - {"SANDBOX_PORT", "SANDBOX_SMTP_PORT", "SANDBOX_WITHOUT_DEBUG"} == read


def test_older_names_are_read_as_their_systems_gave_them() -> None:
    names = ("JOBS_MAX_ATTEMPTS", "JOBS_RETRY_BASE_DELAY", "JOBS_RETRY_MAX_DELAY", "JOBS_POLL_INTERVAL")
    older = {
        "BULLMQ_MAX_RETRIES": "3",
        "BULLMQ_RETRY_DELAY": "2000",
        "RETRY_MAX_DELAY": "30000",
        "JOB_QUEUE_POLL_INTERVAL": "5000",
        "JOB_QUEUE_PERSISTENCE": "true",
    }
    assert settings(*names, **older) == [4, 2.0, 30.0, 5.0]
    assert settings(*names, MAX_JOB_ATTEMPTS="3", RETRY_BASE_DELAY="500") == [3, 0.5, 60.0, 1.0]


def test_the_paper_manager_s_environment_is_read_as_it_was() -> None:
    names = ("REDIS_URL", "JOBS_WORKERS['io']['concurrency']", "AI_MAX_ATTEMPTS", "AI_RETRY_BASE_DELAY")
    given = {
        "REDIS_URL": "redis://localhost:6379",
        "WORKER_CONCURRENCY": "5",
        "MAX_JOB_ATTEMPTS": "4",
        "RETRY_BASE_DELAY": "1500",
        "RETRY_MAX_DELAY": "20000",
    }
    assert settings(*names, "AI_RETRY_MAX_DELAY", **given) == ["redis://localhost:6379", 5, 4, 1.5, 20.0]
    assert settings(*names[2:], "AI_RETRY_MAX_DELAY") == [3, 2.0, 30.0]


def test_further_providers_of_analyses_are_named_with_their_address() -> None:
    given = {"AI_COMPATIBLE": "groq=https://api.groq.com/openai/v1", "GROQ_API_KEY": "gsk-1", "GROQ_MODEL": "llama"}
    (provider,) = settings("AI_PROVIDERS['groq']", **given)
    assert provider == {
        "speaks": "openai",
        "url": "https://api.groq.com/openai/v1",
        "key": "gsk-1",
        "model": "llama",
    }


@pytest.mark.parametrize("name", ["WORKER_CONCURRENCY", "JOB_QUEUE_CONCURRENCY", "BULLMQ_CONCURRENCY"])
def test_each_name_of_the_concurrency(name: str) -> None:
    assert settings("JOBS_WORKERS['io']['concurrency']", **{name: "7"}) == [7]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"WORKER_CONCURRENCY": "many"}, "WORKER_CONCURRENCY"),
        ({"WORKER_CONCURRENCY": "0"}, "WORKER_CONCURRENCY"),
        ({"WORKER_CONCURRENCY": "5", "BULLMQ_CONCURRENCY": "6"}, "WORKER_CONCURRENCY and BULLMQ_CONCURRENCY"),
        ({"AI_COMPATIBLE": "groq=https://x.example/v1"}, "GROQ_MODEL"),
        ({"AI_COMPATIBLE": "openai=https://x.example/v1", "OPENAI_MODEL": "x"}, "AI_COMPATIBLE"),
        ({"MAX_JOB_ATTEMPTS": "3", "BULLMQ_MAX_RETRIES": "3"}, "MAX_JOB_ATTEMPTS and BULLMQ_MAX_RETRIES"),
        ({"RETRY_BASE_DELAY": "2000", "RETRY_MAX_DELAY": "1000"}, "RETRY_MAX_DELAY"),
        ({"JOB_QUEUE_PERSISTENCE": "false"}, "JOB_QUEUE_PERSISTENCE"),
        ({"DEBUG": "perhaps"}, "DEBUG"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
        ({"DATABASE_URL": "sqlite:///db"}, "DATABASE_URL"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL"),
        ({"REDIS_PORT": "redis"}, "REDIS_PORT"),
        ({"JOBYARD_ROLE": "boss"}, "JOBYARD_ROLE"),
    ],
)
def test_a_wrong_value_stops_the_start_with_one_line(environment: dict[str, str], named: str) -> None:
    said = refusal(**environment)
    assert said.startswith(f"Wrong setting {named}: ")
    assert "\n" not in said


def test_celery_and_uvicorn_say_the_same_line() -> None:
    for program in (("celery", "-A", "config", "worker"), ("uvicorn", "config.asgi:application")):
        done = python("-m", *program, **SOUND, WORKER_CONCURRENCY="many")
        assert done.returncode != 0
        assert done.stderr.strip() == "Wrong setting WORKER_CONCURRENCY: 'many' is not a number"


def test_a_sound_deployment_passes_every_check() -> None:
    done = python("manage.py", "check", "--deploy", "--fail-level", "WARNING", **SOUND)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"DEBUG": "true"}, "jobs.E001"),
        ({"SECRET_KEY": ""}, "jobs.E002"),
        ({"ALLOWED_HOSTS": ""}, "jobs.E003"),
        ({"SECURE_PROXY_SSL_HEADER": ""}, "jobs.E004"),
    ],
)
def test_an_unsound_deployment_does_not_start(change: dict[str, str], error: str) -> None:
    assert error in refusal(**SOUND | change)


def test_nor_does_its_site() -> None:
    web = python("-m", "uvicorn", "config.asgi:application", "--port", "1", **SOUND | {"SECRET_KEY": ""})
    assert web.returncode != 0
    assert web.stderr.strip() == "SECRET_KEY is not set."


def test_redis_without_a_password_is_not_for_production() -> None:
    done = python("manage.py", "check", "--deploy", **SOUND | {"REDIS_URL": "redis://localhost/0"})
    assert done.returncode != 0
    assert "jobs.E005" in done.stderr


def test_tls_at_a_proxy_turns_on_what_belongs_to_it() -> None:
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS > 0")
    assert settings(*names, **SOUND) == [True, True, True, True]
    assert settings(*names) == [False, False, False, False]
    assert settings("SECURE_PROXY_SSL_HEADER", **SOUND) == [["HTTP_X_FORWARDED_PROTO", "https"]]


def test_connections_by_role() -> None:
    names = ("DATABASES['default']['OPTIONS'].get('pool')", "DATABASES['default']['CONN_MAX_AGE']")
    io = settings(*names, JOBYARD_ROLE="worker-io", WORKER_CONCURRENCY="40")
    assert io == [{"min_size": 1, "max_size": 42, "timeout": 10}, 0]
    assert settings(*names, JOBYARD_ROLE="worker-cpu") == [None, 600]
    assert settings(*names) == [None, 600]


def test_tls_to_redis_is_verified() -> None:
    code = "from config.celery import app; print(app.connection().ssl)"
    done = python("-c", code, REDIS_URL="rediss://:secret@cache.example/0")
    assert "CERT_REQUIRED" in done.stdout, done.stderr


LOG = """
import django, logging
django.setup()
logging.getLogger("jobs.worker").debug("claimed %d", 3, extra={"job_id": "abc"})
logging.getLogger("kombu").debug("noise")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("jobs").exception("failed")
"""


def test_logs_for_machines_are_one_json_object_a_line() -> None:
    done = python("-c", LOG, DJANGO_SETTINGS_MODULE="config.settings", LOG_FORMAT="json", LOG_LEVEL="debug")
    claimed, failed = [json.loads(line) for line in done.stderr.splitlines()]
    assert claimed.pop("timestamp")
    assert claimed == {"event": "claimed 3", "job_id": "abc", "level": "debug", "logger": "jobs.worker"}
    assert "ZeroDivisionError" in failed["exception"]


def test_logs_for_people_name_level_logger_and_fields() -> None:
    done = python("-c", LOG, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="DEBUG")
    first = done.stderr.splitlines()[0]
    assert re.search(r"\[debug +\] claimed 3 +\[jobs.worker\] job_id=abc", first), first


def test_debug_is_off_by_default_in_logs() -> None:
    done = python("-c", LOG, DJANGO_SETTINGS_MODULE="config.settings")
    assert "claimed" not in done.stderr
    assert "failed" in done.stderr
