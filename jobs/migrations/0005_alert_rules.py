"""The rules that a deployment begins with: each may be changed or deleted."""

from django.db import migrations

RULES = [
    # name, kind, threshold, window in seconds
    ("High failure rate", "failure-rate", 10, 3600),  # percent
    ("Queue backed up", "backlog", 1000, 3600),  # waiting jobs
    ("Jobs wait too long", "backlog-age", 900, 3600),  # seconds
    ("Slow processing", "slow", 2, 3600),  # times the week before
    ("Worker down", "worker-down", 60, 3600),  # seconds
    ("Schedule missed", "schedule-missed", 300, 3600),  # seconds
]


def make(apps, schema_editor):
    rules = apps.get_model("jobs", "AlertRule").objects
    for name, kind, threshold, window in RULES:
        rules.get_or_create(name=name, defaults={"kind": kind, "threshold": threshold, "window": window})


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_groups")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
