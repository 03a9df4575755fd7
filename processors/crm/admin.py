"""The CRM in the admin: customers and what is sold to them are edited, what was sent and charged is only read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs.processor import enqueue_many

from . import addresses, opportunities, payments
from .models import (
    Customer,
    CustomerChange,
    DailyAnalytics,
    Invoice,
    Notification,
    Opportunity,
    Payment,
    Promotion,
    Report,
    Review,
    Segment,
    SentMail,
    StripeEvent,
    Suppression,
    Visit,
)
from .priority import calculate_priority

if TYPE_CHECKING:  # unfold says nothing about types, and Django's forms know theirs in stubs only

    class ModelAdmin(admin.ModelAdmin[Any]): ...

    class ModelForm(forms.ModelForm[Any]): ...
else:
    from django.forms import ModelForm
    from unfold.admin import ModelAdmin


NewJob = tuple[str, dict[str, Any], dict[str, Any]]  # type, payload, options


class CrmAdmin(ModelAdmin):
    """Pages whose actions enqueue jobs, for whoever may enqueue any."""

    def has_enqueue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.add_job")

    def enqueue(self, request: HttpRequest, jobs: Iterable[NewJob]) -> None:
        """Enqueue (type, payload, options) each, and say how many are new."""
        by = {"created_by": request.user.get_username()}
        enqueued = enqueue_many((type_, payload, {**options, **by}) for type_, payload, options in jobs)
        self.message_user(request, f"Jobs enqueued: {sum(job.created for job in enqueued)}.", messages.SUCCESS)


class ReadOnly(CrmAdmin):
    """Rows that jobs write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Customer)
class CustomerAdmin(CrmAdmin):
    list_display = ("name", "email", "tier", "stripe_id", "created_at", "deleted_at")
    list_filter = ("tier", "created_at", "deleted_at")
    search_fields = ("name", "email", "=id", "=stripe_id")
    readonly_fields = ("created_at", "synced_at")
    actions = ("synchronise",)

    @admin.action(description="Take all customers over from Stripe", permissions=["enqueue"])
    def synchronise(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        self.enqueue(request, [("sync_customer_data", {}, {"unique_key": "all"})])


@admin.register(CustomerChange)
class CustomerChangeAdmin(ReadOnly):
    list_display = ("customer", "before", "after", "at")
    list_filter = ("at",)
    search_fields = ("customer__name", "=customer__id")
    list_select_related = ("customer",)


@admin.register(Segment)
class SegmentAdmin(CrmAdmin):
    list_display = ("name", "description", "tiers", "tags", "not_visited_for_days", "size")
    search_fields = ("name", "description")

    @admin.display(description="customers")
    def size(self, segment: Segment) -> int:
        return segment.customers().count()


class SuppressionForm(ModelForm):
    def clean_address(self) -> str:
        """As addresses are looked for: another spelling would stop nothing."""
        return addresses.normalised(self.cleaned_data["address"])


@admin.register(Suppression)
class SuppressionAdmin(CrmAdmin):
    form = SuppressionForm
    list_display = ("address", "reason", "detail", "at")
    list_filter = ("reason", "at")
    search_fields = ("address",)


@admin.register(Promotion)
class PromotionAdmin(CrmAdmin):
    list_display = ("name", "subject", "discount", "code", "ends_at")
    list_filter = ("ends_at", "created_at")
    search_fields = ("name", "subject", "=id", "=code")
    actions = ("send_to_all",)

    @admin.action(description="Send to all customers who did not get it yet", permissions=["enqueue"])
    def send_to_all(self, request: HttpRequest, queryset: QuerySet[Promotion]) -> None:
        self.enqueue(
            request, [("send_promotions", {"promotionId": row.pk}, {"unique_key": row.pk}) for row in queryset]
        )


@admin.register(Opportunity)
class OpportunityAdmin(CrmAdmin):
    list_display = ("title", "customer", "status", "estimated_value", "offer", "due_at", "created_at")
    list_filter = ("status", "customer__tier", "due_at", "created_at")
    search_fields = ("title", "customer__name", "=id")
    autocomplete_fields = ("customer",)
    list_select_related = ("customer",)
    actions = ("make_offers", "qualify", "win", "lose")

    @admin.action(description="Make an offer", permissions=["enqueue"])
    def make_offers(self, request: HttpRequest, queryset: QuerySet[Opportunity]) -> None:
        self.enqueue(
            request,
            [
                (
                    "process_opportunity_offer",
                    {"opportunityId": row.pk},
                    {"priority": opportunities.priority_of(row), "unique_key": row.pk},
                )
                for row in queryset.select_related("customer")
            ],
        )

    @admin.action(description="Mark as qualified", permissions=["change"])
    def qualify(self, request: HttpRequest, queryset: QuerySet[Opportunity]) -> None:
        self._set(request, queryset, Opportunity.Status.QUALIFIED)

    @admin.action(description="Mark as won", permissions=["change"])
    def win(self, request: HttpRequest, queryset: QuerySet[Opportunity]) -> None:
        self._set(request, queryset, Opportunity.Status.WON)

    @admin.action(description="Mark as lost", permissions=["change"])
    def lose(self, request: HttpRequest, queryset: QuerySet[Opportunity]) -> None:
        self._set(request, queryset, Opportunity.Status.LOST)

    def _set(self, request: HttpRequest, queryset: QuerySet[Opportunity], status: Opportunity.Status) -> None:
        moved = opportunities.set_status(list(queryset.values_list("pk", flat=True)), status)
        self.message_user(request, f"Opportunities moved on: {moved}.", messages.SUCCESS)


@admin.register(Visit)
class VisitAdmin(CrmAdmin):
    list_display = ("service", "customer", "starts_at", "status")
    list_filter = ("status", "starts_at")
    search_fields = ("service", "customer__name", "=id")
    autocomplete_fields = ("customer",)
    list_select_related = ("customer",)
    actions = ("remind", "ask_for_review")

    @admin.action(description="Remind the customer", permissions=["enqueue"])
    def remind(self, request: HttpRequest, queryset: QuerySet[Visit]) -> None:
        self.enqueue(request, self._about(queryset, "send_reminder", "high"))

    @admin.action(description="Ask for a review", permissions=["enqueue"])
    def ask_for_review(self, request: HttpRequest, queryset: QuerySet[Visit]) -> None:
        self.enqueue(request, self._about(queryset, "send_review_request", "medium"))

    def _about(self, visits: QuerySet[Visit], type_: str, urgency: str) -> list[NewJob]:
        return [
            (
                type_,
                {"customerId": visit.customer_id, "visitId": visit.pk},
                {"priority": calculate_priority(urgency, visit.customer.tier), "unique_key": visit.pk},
            )
            for visit in visits.select_related("customer")
        ]


@admin.register(Review)
class ReviewAdmin(CrmAdmin):
    list_display = ("visit", "rating", "text", "created_at")
    list_filter = ("rating", "created_at")
    search_fields = ("text", "visit__customer__name")
    autocomplete_fields = ("visit",)
    list_select_related = ("visit",)


@admin.register(Invoice)
class InvoiceAdmin(CrmAdmin):
    list_display = ("number", "customer", "amount", "currency", "status", "due_at", "paid_at")
    list_filter = ("status", "currency", "due_at", "paid_at")
    search_fields = ("=number", "=id", "customer__name")
    autocomplete_fields = ("customer",)
    list_select_related = ("customer",)
    readonly_fields = ("status", "paid_at")  # payments write them, and the action below
    actions = ("charge", "make_void")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Invoice | None:
        """Held while it is changed: a payment that ends meanwhile would be overwritten, one that begins overlooked."""
        if request.method == "POST":
            Invoice.objects.select_for_update().filter(pk=object_id).first()
        return cast("Invoice | None", super().get_object(request, object_id, from_field))

    @admin.action(description="Charge by Stripe", permissions=["enqueue"])
    def charge(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        self.enqueue(request, (("process_payment", {"invoiceId": row.pk}, {"unique_key": row.pk}) for row in queryset))

    @admin.action(description="Make void", permissions=["change"])
    def make_void(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        made = payments.void(list(queryset.values_list("pk", flat=True)))
        self.message_user(request, f"Invoices made void: {made}.", messages.SUCCESS)


@admin.register(Payment)
class PaymentAdmin(ReadOnly):
    list_display = ("invoice", "amount", "currency", "status", "message", "provider_id", "created_at")
    list_filter = ("status", "provider", "created_at")
    search_fields = ("=provider_id", "=invoice__number", "=key")
    list_select_related = ("invoice",)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly):
    list_display = ("id", "type", "object_id", "received_at", "handled_at")
    list_filter = ("type", "received_at")
    search_fields = ("=id", "=object_id")


@admin.register(SentMail)
class SentMailAdmin(ReadOnly):
    list_display = ("address", "kind", "subject", "status", "answer", "updated_at")
    list_filter = ("status", "kind", "updated_at")
    search_fields = ("=address", "=key", "=job", "customer__name")


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    list_display = ("subject", "channel", "recipient", "status", "error", "created_at", "read_at")
    list_filter = ("channel", "status", "created_at")
    search_fields = ("=recipient", "subject")


@admin.register(DailyAnalytics)
class DailyAnalyticsAdmin(ReadOnly):
    list_display = ("day", "revenue", "invoices_paid", "offers", "won", "visits_done", "average_rating", "mails_sent")
    list_filter: ClassVar = ["day"]


@admin.register(Report)
class ReportAdmin(ReadOnly):
    list_display = ("kind", "starts_on", "ends_on", "downloads", "created_at", "job")
    list_filter = ("kind", "created_at")
    search_fields = ("=job",)
    readonly_fields = ("downloads",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return super().get_queryset(request).prefetch_related("files__report")

    @admin.display(description="files")
    def downloads(self, report: Report) -> SafeString:
        """For whoever may see reports, as everybody here."""
        links = ((reverse("crm:report", args=[f.pk]), f.get_format_display()) for f in report.files.all())
        return format_html_join(" ", '<a href="{}">{}</a>', links)
