"""The EVE companion in the admin: read only, for every row is written by jobs and logins. No page shows a token."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.processor import enqueue_many

from .esi import endpoints
from .esi.endpoints import Group
from .models import (
    Asset,
    Blueprint,
    Character,
    EsiAnswer,
    Grant,
    HistoryRun,
    IndustryJob,
    JournalEntry,
    Mail,
    MarketOrder,
    MinedOre,
    Notice,
    SkillTraining,
    Snapshot,
    WalletTransaction,
)

if TYPE_CHECKING:  # unfold says nothing about types

    class ModelAdmin(admin.ModelAdmin[Any]): ...
else:
    from unfold.admin import ModelAdmin


NewJob = tuple[str, dict[str, Any]]  # type, payload


class ReadOnly(ModelAdmin):
    """Rows that jobs write, and actions that enqueue jobs for whoever may enqueue any."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_enqueue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.add_job")

    def enqueue(self, request: HttpRequest, jobs: Iterable[NewJob], priority: str = "high") -> None:
        options = {"created_by": request.user.get_username(), "priority": priority}
        enqueued = enqueue_many((type_, payload, options) for type_, payload in jobs)
        self.message_user(request, f"Jobs enqueued: {len(enqueued)}.", messages.SUCCESS)


def _jobs(type_: str, *more: dict[str, Any]) -> Callable[[Iterable[Character]], list[NewJob]]:
    """A job for each character, or several."""

    def make(characters: Iterable[Character]) -> list[NewJob]:
        return [
            (type_, {"characterId": character.pk, "userId": character.user_id, **fields})
            for character in characters
            for fields in more or ({},)
        ]

    return make


NEW_TOKENS = _jobs("token_refresh")
ALL_GROUPS = _jobs("esi_refresh", *({"group": f"CHARACTER_{group}"} for group in Group))
ALL_HISTORIES = _jobs("historical_data", {"dataType": "all"})


@admin.register(Character)
class CharacterAdmin(ReadOnly):
    list_display = ("name", "id", "user", "state", "corporation_id", "security_status", "created_at")
    list_filter = ("grant__status", "created_at")
    search_fields = ("name", "=id", "user__username")
    list_select_related = ("user", "grant")
    actions = ("new_tokens", "refresh", "collect")

    @admin.display(description="grant", ordering="grant__status")
    def state(self, character: Character) -> str:
        return character.grant.status if hasattr(character, "grant") else ""

    @admin.action(description="Ask for new tokens", permissions=["enqueue"])
    def new_tokens(self, request: HttpRequest, queryset: QuerySet[Character]) -> None:
        self.enqueue(request, NEW_TOKENS(queryset), "critical")

    @admin.action(description="Refresh everything from ESI", permissions=["enqueue"])
    def refresh(self, request: HttpRequest, queryset: QuerySet[Character]) -> None:
        self.enqueue(request, ALL_GROUPS(queryset))

    @admin.action(description="Collect all histories", permissions=["enqueue"])
    def collect(self, request: HttpRequest, queryset: QuerySet[Character]) -> None:
        self.enqueue(request, ALL_HISTORIES(queryset), "batch")


@admin.register(Grant)
class GrantAdmin(ReadOnly):
    list_display = ("character", "status", "reason", "expires_at", "refreshed_at", "died_at")
    list_filter = ("status", "refreshed_at", "died_at")
    search_fields = ("character__name", "=character__id", "reason")
    list_select_related = ("character",)
    fields: ClassVar = [
        *("character", "scopes", "status", "reason", "expires_at", "refreshed_at", "serial"),
        *("refreshing_until", "died_at", "told_at", "created_at"),
    ]
    actions = ("new_tokens",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grant]:
        return super().get_queryset(request).defer("access_token", "refresh_token")

    @admin.action(description="Ask for new tokens", permissions=["enqueue"])
    def new_tokens(self, request: HttpRequest, queryset: QuerySet[Grant]) -> None:
        self.enqueue(request, NEW_TOKENS(Character.objects.filter(grant__in=queryset)), "critical")


@admin.register(EsiAnswer)
class EsiAnswerAdmin(ReadOnly):
    list_display = ("key", "endpoint", "size", "fetched_at", "expires_at", "used_at")
    list_filter = ("endpoint", "expires_at", "used_at")
    search_fields = ("key",)
    actions = ("clean",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EsiAnswer]:
        return super().get_queryset(request).defer("body")

    @admin.action(description="Clean up all that have expired", permissions=["enqueue"])
    def clean(self, request: HttpRequest, queryset: QuerySet[EsiAnswer]) -> None:
        self.enqueue(request, [("cache_cleanup", {"mode": "expired"})], "low")


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly):
    list_display = ("character", "endpoint", "changed_at", "expires_at", "job")
    list_filter = ("endpoint", "changed_at", "expires_at")
    search_fields = ("character__name", "=character__id", "endpoint")
    list_select_related = ("character",)
    actions = ("refresh",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        return super().get_queryset(request).defer("data")

    @admin.action(description="Refresh from ESI", permissions=["enqueue"])
    def refresh(self, request: HttpRequest, queryset: QuerySet[Snapshot]) -> None:
        rows = queryset.select_related("character")
        self.enqueue(
            request, [job for row in rows for job in _jobs("esi_refresh", {"endpoint": _path(row)})([row.character])]
        )


def _path(snapshot: Snapshot) -> str:
    return endpoints.named(snapshot.endpoint).path


class OfCharacter(ReadOnly):
    """What belongs to a character: its table's own columns first."""

    list_select_related = ("character",)


def _register(model: type[Any], columns: str, filters: str, search: str) -> None:
    """A table of which the list says everything."""
    options = {
        "list_display": ("character", *columns.split()),
        "list_filter": tuple(filters.split()),
        "search_fields": ("character__name", "=character__id", *search.split()),
    }
    admin.register(model)(type(f"{model.__name__}Admin", (OfCharacter,), options))


_register(
    Asset, "item_id type_id quantity location_id location_flag", "location_type", "=item_id =type_id =location_id"
)
_register(Blueprint, "item_id type_id quantity runs material_efficiency time_efficiency", "", "=item_id =type_id")
_register(MinedOre, "date type_id quantity solar_system_id", "date", "=type_id =solar_system_id")
_register(Mail, "subject sender_id sent_at is_read", "is_read sent_at", "subject =sender_id")
_register(Notice, "type sender_type sent_at is_read", "sender_type sent_at", "type")
_register(JournalEntry, "ref_type date amount balance", "date ref_type", "ref_type =entry_id description")
_register(WalletTransaction, "type_id date quantity unit_price is_buy", "is_buy date", "=transaction_id =type_id")
_register(MarketOrder, "type_id state issued price volume_remain volume_total", "state issued", "=order_id =type_id")
_register(IndustryJob, "activity_id status start_date end_date runs", "status start_date", "=job_id =blueprint_type_id")
_register(SkillTraining, "skill_id level trained_at skillpoints", "level trained_at", "=skill_id")
_register(HistoryRun, "data_type from_date to_date stored", "data_type", "data_type")
