"""The CRM's own pages, below /crm/."""

from django.urls import path

from . import views, webhooks

app_name = "crm"
urlpatterns = [
    path("unsubscribe", views.unsubscribe, name="unsubscribe"),
    path("reports/<int:file_id>", views.report, name="report"),
    path("webhook/stripe", webhooks.stripe, name="stripe-webhook"),
]
