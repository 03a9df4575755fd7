"""The admin's sidebar: the platform's pages by what they are for, then each product line, then access.

Named by the setting UNFOLD. A page that a user may not see is not there.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

# Label of the model → icon
PLATFORM = {
    "Jobs": {
        "jobs.Job": "list_alt",
        "jobs.Queue": "stacks",
        "jobs.Worker": "memory",
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
ACCESS = {"Access": {"jobs.ApiKey": "key", "auth.User": "person", "auth.Group": "group"}}
OTHER = "database"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    apps = admin.site.get_app_list(request)
    pages = {entry["model"]._meta.label: entry for app in apps for entry in app["models"]}
    placed = {label for icons in (*PLATFORM.values(), *ACCESS.values()) for label in icons}
    lines = [(app["name"], dict.fromkeys(sorted(_labels(app) - placed), OTHER)) for app in apps]
    groups = []
    for title, icons in [*PLATFORM.items(), *lines, *ACCESS.items()]:
        items = [_item(pages[label], icon) for label, icon in icons.items() if label in pages]
        if items:
            groups.append({"title": title, "items": items})
    return groups


def _labels(app: dict[str, Any]) -> set[str]:
    return {entry["model"]._meta.label for entry in app["models"]}


def _item(page: dict[str, Any], icon: str) -> dict[str, Any]:
    return {"title": page["name"], "icon": icon, "link": page["admin_url"]}
