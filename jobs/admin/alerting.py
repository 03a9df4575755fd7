"""Alert rules, made and changed here, and the alerts they raised. What they do is `jobs.alerts`."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldAdminURLInputWidget

from jobs.admin.audit import Audited
from jobs.admin.base import ModelForm, ReadOnlyAdmin, display
from jobs.admin.formats import label
from jobs.models import Alert, AlertRule


class AlertRuleForm(ModelForm):
    emails = SimpleArrayField(
        forms.EmailField(),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Separated by commas. With no address and no webhook: those of the settings.",
    )

    webhook_url = forms.URLField(
        label="Webhook",
        required=False,
        assume_scheme="https",
        max_length=500,
        widget=UnfoldAdminURLInputWidget,
        help_text="Slack-compatible.",
    )

    class Meta:
        model = AlertRule
        exclude = ("silenced_by",)


@admin.register(AlertRule)
class AlertRuleAdmin(Audited):
    form = AlertRuleForm
    kept_back = frozenset({"webhook_url"})  # whoever has it can post there
    list_display = ("name", "kind", "type", "queue", "threshold", "window", "enabled", "silenced_until")
    list_filter = ("kind", "enabled")
    search_fields = ("name",)
    readonly_fields = ("silenced_until", "silenced_by")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        hidden = set() if self.has_change_permission(request, obj) or obj is None else self.kept_back
        return [name for name in super().get_fields(request, obj) if name not in hidden]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "rule", "state", "subject", "message", "resolved_at")
    list_select_related = ("rule",)
    list_filter = ("rule",)
    sortable_by = ()

    @display(description="State")
    def state(self, alert: Alert) -> str:
        return label("over", "default") if alert.resolved_at else label("firing", "danger")
