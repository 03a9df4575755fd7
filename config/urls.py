"""Where everything is mounted."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:jobs_job_changelist")),
    path("", include("jobs.urls")),  # before the admin, which would take every path below its own
    path("admin/", admin.site.urls),
]
