"""Where everything is mounted."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("jobs.urls")),  # before the admin, which would take every path below its own
    path("admin/", admin.site.urls),
]
