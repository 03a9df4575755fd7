"""The addresses of the core: the API and the probes."""

from django.urls import path

from jobs import probes
from jobs.api import api
from jobs.api.problems import nothing_here

urlpatterns = [
    path("api/", api.urls),
    path("api/<path:path>", nothing_here),
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
]
