"""ASGI entry point: `uvicorn config.asgi:application`."""

import os
import sys

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from jobs import observing
from jobs.checks import configuration_problems

application = get_asgi_application()
observing.start()
if problems := configuration_problems():
    sys.exit("\n".join(problems))
