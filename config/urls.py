"""Where everything is mounted."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from django.utils.module_loading import module_has_submodule

rooms = [
    path(f"{room.label}/", include(f"{room.name}.urls"))
    for room in apps.get_app_configs()
    if room.name.startswith("processors.") and module_has_submodule(room.module, "urls")
]

urlpatterns = [
    path("", include("jobs.urls")),  # before the admin, which would take every path below its own
    path("admin/", admin.site.urls),
    *rooms,
]
