"""Flower's options, and what makes it fit: `manage.py flower` names this file to Flower, which runs it at its start."""

import django
from django.conf import settings

django.setup()

from jobs import flower  # noqa: E402  (it needs models)

flower.fit()

address = settings.FLOWER_ADDRESS
port = settings.FLOWER_PORT
url_prefix = "flower"
auth = "nobody@localhost"  # switches log-in on, for the API too; nobody gets in by Flower's own cookie
auth_provider = "jobs.flower.Login"
tasks_columns = "name,uuid,state,args,kwargs,received,runtime"
max_tasks = 10_000  # in its memory
purge_offline_workers = 600  # seconds; a worker that starts again has a new name
logging = "none"  # Tornado's own: `settings.LOGGING` is in force
