"""API keys: made here and shown once, changed and revoked later."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from jobs import keys
from jobs.admin.audit import Audited
from jobs.admin.base import ModelForm, display
from jobs.models import ApiKey


class ApiKeyForm(ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in ApiKey.Scope.values], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(Audited):
    form = ApiKeyForm
    list_display = ("name", "prefix", "shown_scopes", "created_at", "expires_at", "last_used_at")
    search_fields = ("name", "prefix")
    readonly_fields = ("prefix", "created_at", "last_used_at")
    fields = ("name", "scopes", "expires_at", ("prefix", "created_at", "last_used_at"))

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.fields if obj else ("name", "scopes", "expires_at")

    @display(description="Scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm, change: bool) -> None:
        """A new key gets its secret and is shown in the message after it: nobody can read it again."""
        presented = "" if change else keys.issue(obj)
        super().save_model(request, obj, form, change)
        if change:
            return
        shown = format_html("The key of {}, shown only now: <code>{}</code>", obj.name, presented)
        self.message_user(request, shown, messages.WARNING)
