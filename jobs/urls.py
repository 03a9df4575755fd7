"""The addresses of the core: the dashboard, the API, the probes and the way to Flower."""

from django.urls import include, path

from jobs import exposition, probes, views
from jobs.api import administration_urls, api
from jobs.api.problems import nothing_here

urlpatterns = [
    path("api/", api.urls),
    path("api/<path:path>", nothing_here),
    path("", include(administration_urls)),  # at /admin/jobs/
    path("flower/auth", views.flower_auth, name="flower-auth"),
    path("flower/", views.flower, name="flower"),
    path("flower/<path:path>", views.flower),
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", exposition.view, name="metrics"),
    path("", include("jobs.dashboard.urls")),
]
