"""The paper manager in the admin: papers are edited, what jobs wrote of them is only read."""

import json
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs import retry
from jobs.processor import enqueue_many

from .forms import configured
from .models import Analysis, Call, Paper, ProviderState

if TYPE_CHECKING:  # unfold says nothing about types

    class ModelAdmin(admin.ModelAdmin[Any]): ...
else:
    from unfold.admin import ModelAdmin


class ReadOnly(ModelAdmin):
    """Rows that jobs write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Paper)
class PaperAdmin(ModelAdmin):
    list_display = ("title", "owner", "created_at")
    list_filter = ("created_at", "analyses__status")
    search_fields = ("title", "=id", "owner__username")
    autocomplete_fields = ("owner",)
    actions = ("analyse",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Paper]:
        found: QuerySet[Paper] = super().get_queryset(request)
        return found if request.resolver_match and "object_id" in request.resolver_match.kwargs else found.defer("text")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("id", "created_at") if obj else ("created_at",)  # another id would make another paper

    def has_enqueue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.add_job")

    @admin.action(description="Analyse by all providers", permissions=["enqueue"])
    def analyse(self, request: HttpRequest, queryset: QuerySet[Paper]) -> None:
        if not (providers := configured()):
            self.message_user(request, "No provider has a key.", messages.ERROR)
            return
        options = {"created_by": request.user.get_username()}
        papers = queryset.values_list("pk", flat=True)
        jobs = enqueue_many(("ai_analysis", {"paperId": pk, "providers": providers}, options) for pk in papers)
        self.message_user(request, f"Jobs enqueued: {len(jobs)}.", messages.SUCCESS)


@admin.register(Analysis)
class AnalysisAdmin(ReadOnly):
    list_display = ("paper", "provider", "status", "error_class", "model", "tokens", "cost", "created_at")
    list_filter = ("status", "provider", "error_class", "created_at")
    list_select_related = ("paper",)
    search_fields = ("paper__title", "=paper__id", "=job", "=request_id")
    actions = ("retry",)
    fieldsets: ClassVar = [
        (None, {"fields": ["paper", "provider", "status", "job_page", "error_class", "error"]}),
        ("What it says", {"fields": ["said"]}),
        ("What it took", {"fields": ["model", "request_id", "tokens", "cost", "parts", "parts_done"]}),
        ("When", {"fields": ["created_at", "started_at", "finished_at", "told_at"]}),
    ]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.retry_job")

    @admin.action(description="Try failed ones again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        jobs = set(queryset.exclude(status=Analysis.Status.DONE).values_list("job", flat=True))
        outcome = retry(jobs, actor=request.user.get_username())
        self.message_user(
            request, f"Jobs retried: {len(outcome.retried)}, skipped: {len(outcome.skipped)}.", messages.SUCCESS
        )

    @admin.display(description="job")
    def job_page(self, analysis: Analysis) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("dashboard:job", args=[analysis.job]), analysis.job)

    @admin.display(description="tokens in, out")
    def tokens(self, analysis: Analysis) -> str:
        return f"{analysis.input_tokens:,}, {analysis.output_tokens:,}"

    @admin.display(description="analysis")
    def said(self, analysis: Analysis) -> str:
        return json.dumps(analysis.structure, indent=1, ensure_ascii=False) if analysis.structure else ""


@admin.register(Call)
class CallAdmin(ReadOnly):
    list_display = ("provider", "sent_at", "error_class", "http_status", "model", "tokens", "cost")
    list_filter = ("provider", "error_class", "sent_at")
    search_fields = ("=request_id", "error", "=analysis__job")
    date_hierarchy = "sent_at"
    show_full_result_count = False
    exclude = ("digest",)

    @admin.display(description="tokens in, out")
    def tokens(self, call: Call) -> str:
        return f"{call.input_tokens:,}, {call.output_tokens:,}"


@admin.register(ProviderState)
class ProviderStateAdmin(ReadOnly):
    list_display = ("provider", "off_until", "error_class", "reason", "told_at")
    search_fields = ("provider",)
    list_filter = ("error_class",)
    actions = ("switch_on",)

    def has_switch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("papers.change_providerstate")

    @admin.action(description="Switch on again", permissions=["switch"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[ProviderState]) -> None:
        count = queryset.update(off_until=None)
        self.message_user(request, f"Providers switched on: {count}.", messages.SUCCESS)
