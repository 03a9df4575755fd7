"""The admin's sidebar: the platform's pages by what they are for, then each product line, then access.

Named by the setting UNFOLD. Above them the ways out, to the dashboard and to Flower. A page that a user may not see is
not there.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from jobs.roles import may_watch

# Label of the model → icon
PLATFORM = {
    "Jobs": {
        "jobs.Job": "list_alt",
        "jobs.Queue": "stacks",
        "jobs.Worker": "memory",
        "jobs.ErrorGroup": "error",
        "jobs.Event": "history",
        "jobs.Limit": "speed",
    },
    "Schedules": {
        "django_celery_beat.PeriodicTask": "schedule",
        "jobs.ScheduleRun": "event_available",
        "django_celery_beat.CrontabSchedule": "calendar_month",
        "django_celery_beat.IntervalSchedule": "timer",
        "django_celery_beat.ClockedSchedule": "alarm",
        "django_celery_beat.SolarSchedule": "wb_twilight",
    },
}
ALERTS = {"Alerts": {"jobs.AlertRule": "notification_settings", "jobs.Alert": "notifications"}}
ACCESS = {
    "Access": {
        "jobs.ApiKey": "key",
        "auth.User": "person",
        "auth.Group": "group",
        "axes.AccessAttempt": "lock",
    }
}
OTHER = "database"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    apps = admin.site.get_app_list(request)
    pages = {entry["model"]._meta.label: entry for app in apps for entry in app["models"]}
    placed = {label for icons in (*PLATFORM.values(), *ALERTS.values(), *ACCESS.values()) for label in icons}
    lines = [(app["name"], dict.fromkeys(sorted(_labels(app) - placed), OTHER)) for app in apps]
    groups = [{"title": "Jobyard", "items": _ways_out()}] if may_watch(request.user) else []
    for title, icons in [*PLATFORM.items(), *ALERTS.items(), *lines, *ACCESS.items()]:
        items = [_item(pages[label], icon) for label, icon in icons.items() if label in pages]
        if items:
            groups.append({"title": title, "items": items})
    return groups


def _ways_out() -> list[dict[str, Any]]:
    return [
        {"title": "Dashboard", "icon": "monitoring", "link": reverse("dashboard:overview")},
        {"title": "Flower", "icon": "local_florist", "link": reverse("flower")},
    ]


def _labels(app: dict[str, Any]) -> set[str]:
    return {entry["model"]._meta.label for entry in app["models"]}


def _item(page: dict[str, Any], icon: str) -> dict[str, Any]:
    return {"title": page["name"], "icon": icon, "link": page["admin_url"]}
