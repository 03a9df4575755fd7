"""The CRM's own pages, below /crm/."""

from django.urls import path

from . import views

app_name = "crm"
urlpatterns = [
    path("unsubscribe", views.unsubscribe, name="unsubscribe"),
    path("reports/<int:file_id>", views.report, name="report"),
]
