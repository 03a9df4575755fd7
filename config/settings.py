"""Every setting of a deployment, read from the environment; those of the product lines are in `config.rooms`.

`docs/settings.md` explains each.
"""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from kombu import Queue

from config import environment as env
from config.rooms import *  # noqa: F403
from jobs import logs

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("DEBUG", default=False)
DEFAULT_SECRET_KEY = "insecure-development-key"  # noqa: S105  (refused unless DEBUG is on: see jobs.checks)
SECRET_KEY = env.text("SECRET_KEY", DEFAULT_SECRET_KEY)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_celery_beat",
    "django_celery_results",
    "axes",
    "django_htmx",
    "ninja",
    "jobs",
    "processors.bgg",
    "processors.crm",
    "processors.papers",
    "processors.eve",
]

MIDDLEWARE = [
    "jobs.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "jobs.middleware.Policies",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "jobs.middleware.NulBytes",
]

DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024  # bytes of a request's body
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "dashboard:overview"
UNFOLD = {
    "SITE_TITLE": "Jobyard",
    "SITE_HEADER": "Jobyard",
    "SITE_SYMBOL": "manufacturing",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("jobs/mark.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": "jobs.admin.sidebar.navigation"},
}

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- Log-in: who fails too often is kept out for a while, by name and address together ----------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = env.whole("LOGIN_FAILURES", 5, least=1)
AXES_COOLOFF_TIME = timedelta(seconds=env.whole("LOGIN_LOCKOUT", 900, least=1))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "jobs.views.login_name"
AXES_LOCKOUT_CALLABLE = "jobs.views.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # else whoever tries again too early never gets in
AXES_DISABLE_ACCESS_LOG = True  # it would grow for ever
AXES_ENABLE_ADMIN = False  # `jobs.admin.accounts` has the page
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username"]  # not in logs: now and then it is a password

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
MEDIA_ROOT = env.text("MEDIA_ROOT") or BASE_DIR / "media"  # files that jobs make
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG  # served from where they lie, nothing to collect
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- TLS: ended by a proxy in front, which says so in a header, or by uvicorn itself --------------
_proxy_header = env.text("SECURE_PROXY_SSL_HEADER")  # as X-Forwarded-Proto; the proxy must overwrite it
SECURE_PROXY_SSL_HEADER = (f"HTTP_{_proxy_header.upper().replace('-', '_')}", "https") if _proxy_header else None
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=bool(_proxy_header))
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]  # asked from inside, without the proxy
SECURE_HSTS_SECONDS = env.whole("SECURE_HSTS_SECONDS", 30 * 24 * 3600 if SECURE_SSL_REDIRECT else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.flag("SECURE_HSTS_PRELOAD", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # subdomains and preload lists: their owner's choice

# --- What browsers may do with our pages: nothing of other hosts, nothing inline ---------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
ADMIN_CONTENT_SECURITY_POLICY = {  # instead of those above: unfold's Alpine evaluates attributes and sets styles
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
SECURE_REFERRER_POLICY = "same-origin"

# --- Which queues there are, and which kind of worker takes from them -----------------------------
# `intake`: messages that other Celery clients put on the queue become jobs.
JOBS_QUEUES: dict[str, dict[str, Any]] = {
    "default": {"worker": "io", "intake": True},
    "bgg": {"worker": "io", "max_running": 3, "intake": True},
    "crm": {"worker": "io", "intake": True},
    "ai": {"worker": "io", "max_running": 5, "intake": True},
    "reports": {"worker": "cpu", "intake": True},
    "token_refresh": {"worker": "io", "max_running": 5, "intake": True},
    "esi_refresh": {"worker": "io", "max_running": 10, "intake": True},
    "historical_data": {"worker": "io", "max_running": 3, "intake": True},
    "cache_cleanup": {"worker": "io", "max_running": 1, "intake": True},
    "cpu": {"worker": "cpu"},
}
JOBS_WORKERS: dict[str, dict[str, Any]] = {
    "io": {
        "pool": "threads",
        "concurrency": env.whole(
            "WORKER_CONCURRENCY", 32, least=1, most=1000, also={"JOB_QUEUE_CONCURRENCY": 0, "BULLMQ_CONCURRENCY": 0}
        ),
    },
    "cpu": {"pool": "prefork", "concurrency": env.whole("WORKER_CPU_CONCURRENCY", 2, least=1, most=1000)},
}

# --- Postgres: every job is a row here -------------------------------------------------------------
# What this process is decides how it connects. `manage.py worker`, `manage.py dev` and compose set the role.
ROLE = env.choice("JOBYARD_ROLE", "", ("", "web", "beat", "flower", *(f"worker-{kind}" for kind in JOBS_WORKERS)))
_threads = {f"worker-{kind}": w["concurrency"] for kind, w in JOBS_WORKERS.items() if w["pool"] == "threads"}
_database = env.database("DATABASE_URL", "postgres://localhost/jobyard")
_database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
_database["OPTIONS"].setdefault("prepare_threshold", 5)  # what asks for it is prepared: see `jobs.sessions.fetch`
_database["OPTIONS"].setdefault("application_name", f"jobyard {ROLE}".strip())
if ROLE == "web" or ROLE in _threads:  # many threads share a few connections
    _most = _threads[ROLE] + 2 if ROLE in _threads else env.whole("DATABASE_POOL_SIZE", 20, least=1)
    _database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": _most, "timeout": 10}
    _database["CONN_MAX_AGE"] = 0
else:  # a pool does not survive a fork
    _database["CONN_MAX_AGE"] = 600
_database["CONN_HEALTH_CHECKS"] = True  # a restart of Postgres costs no request and no attempt of a job
DATABASES: dict[str, dict[str, Any]] = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: wake-ups, remote control, events, cache; no job ----------------------------------------
REDIS_URL = env.redis()
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}

# --- Jobs. The older names are those of the systems this one replaces; theirs are in milliseconds --
JOBS_MAX_ATTEMPTS = env.whole("MAX_JOB_ATTEMPTS", 4, least=1, most=1000, also={"BULLMQ_MAX_RETRIES": 1})
JOBS_RETRY_BASE_DELAY = env.whole("RETRY_BASE_DELAY", 1000, also={"BULLMQ_RETRY_DELAY": 0}) / 1000
JOBS_RETRY_MAX_DELAY = env.whole("RETRY_MAX_DELAY", 60_000) / 1000
JOBS_TIMEOUT = env.number("JOB_TIMEOUT", 300.0, least=0.1)  # seconds
JOBS_MAX_PAYLOAD = 256 * 1024  # bytes of JSON, of a payload and of a result
JOBS_POLL_INTERVAL = env.whole("JOB_QUEUE_POLL_INTERVAL", 1000, least=10, most=60_000) / 1000
JOBS_LEASE = env.number("JOBS_LEASE", 30.0, least=1)  # seconds a claim is believed without renewal
JOBS_SHUTDOWN_GRACE = env.number("JOBS_SHUTDOWN_GRACE", 30.0)  # seconds for running jobs at SIGTERM
JOBS_RETENTION = {  # seconds that a job stays after its end
    "completed": env.number("JOBS_RETENTION_COMPLETED", 24 * 3600),
    "cancelled": env.number("JOBS_RETENTION_CANCELLED", 24 * 3600),
    "failed": env.number("JOBS_RETENTION_FAILED", 7 * 24 * 3600),
}
CRON_SECRET = env.text("CRON_SECRET")
METRICS_TOKEN = env.text("METRICS_TOKEN")  # for /metrics; without it only this machine may ask
API_RATE = env.rate("API_RATE", "6000/m")  # calls of one caller of the API
API_BULK_RATE = env.rate("API_BULK_RATE", "60/m")  # of these, bulk calls
if JOBS_RETRY_MAX_DELAY < JOBS_RETRY_BASE_DELAY:
    env.refuse("RETRY_MAX_DELAY", "it is shorter than RETRY_BASE_DELAY")
if not env.flag("JOB_QUEUE_PERSISTENCE", default=True):
    env.refuse("JOB_QUEUE_PERSISTENCE", "jobs are rows in Postgres and always kept; it cannot be false")

# --- Celery ------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "jobs.transport:Transport"
CELERY_BROKER_USE_SSL = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if urlsplit(REDIS_URL).scheme == "rediss" else False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "ack_emulation": False,  # a lost Redis would end the worker, and nothing of ours is acknowledged
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_RESULT_BACKEND = "jobs.results:JobBackend"
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 5
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = JOBS_RETENTION["completed"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in JOBS_QUEUES]
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_IGNORE_RESULT = True  # the feed writes outcomes; the child's backend writes nothing
CELERY_TASK_TRACK_STARTED = False  # so does the claim
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_DISABLE_RATE_LIMITS = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False  # it would never grow again: `jobs.intake` has its own count
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 0
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30
CELERY_WORKER_POOL_PUTLOCKS = False  # the feed counts slots itself
CELERY_WORKER_LOST_WAIT = 1.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "jobs.scheduler:Scheduler"
CELERY_BEAT_SYNC_EVERY = 1
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True
CELERY_TIMEZONE = TIME_ZONE
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Logs: one line each, for people or for machines --------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = env.choice("LOG_FORMAT", "console", ("console", "json"))


def _plain(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Leave out uvicorn's second copy of its message."""
    event.pop("color_message", None)
    return event


_before = [
    structlog.contextvars.merge_contextvars,  # the request
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    logs.add_job,
    _plain,
    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    structlog.processors.format_exc_info,
    logs.without_secrets,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_render = {
    "console": structlog.dev.ConsoleRenderer(
        colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    ),
    "json": structlog.processors.JSONRenderer(),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _before,
            "processors": [_render[LOG_FORMAT]],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO" if LOG_LEVEL == "DEBUG" else LOG_LEVEL},
    "loggers": {
        # DEBUG is about our own loggers only: each claim, each finish.
        "jobs": {"level": LOG_LEVEL},
        "processors": {"level": LOG_LEVEL},
        "celery.app.trace": {"level": 100},  # nothing: it shows payloads, secrets too; `jobs` says how jobs end
        "axes": {"level": "WARNING"},
        "flower": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # a line per request, with its query
        "httpx2": {"level": "WARNING"},
        "google_genai": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},  # two lines per request
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"level": 100},  # nothing: it shows queries, tokens too; `jobs.web` says what was asked
        "uvicorn.error": {"handlers": [], "propagate": True},
    },
}

# --- Traces and errors for others to keep: the extras `otel` and `sentry`, see jobs.observing -------------
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT")
SENTRY_DSN = env.text("SENTRY_DSN")
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "production")

# --- Flower: see config/flowerconfig.py -------------------------------------------------------------
SITE_PORT = env.whole("PORT", 8000, least=1, most=65535)  # where the site is when no proxy is in front of both
FLOWER_ADDRESS = env.text("FLOWER_ADDRESS", "127.0.0.1")  # its /metrics and /healthcheck answer anybody who reaches it
FLOWER_PORT = env.whole("FLOWER_PORT", 5555, least=1, most=65535)

# --- Mail, and whom alerts tell when a rule names nobody ---------------------------------------------
_mail = env.mail("EMAIL_URL", "consolemail://" if DEBUG else "smtp://localhost:25")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # seconds
# For the answer to a customer's mail once the server has its text: who gives up too soon does not know whether it went.
# RFC 5321 (4.5.3.2.6) asks for 10 minutes; a job that sends one mail has 5.
EMAIL_ANSWER_TIMEOUT = 180
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "jobyard@localhost")
ALERT_EMAILS = env.words("ALERT_EMAILS")
ALERT_WEBHOOK_URL = env.url("ALERT_WEBHOOK_URL", "", ("https", "http")) if env.text("ALERT_WEBHOOK_URL") else ""
SITE_URL = env.url("SITE_URL", "", ("https", "http")) if env.text("SITE_URL") else ""  # as people reach this site
