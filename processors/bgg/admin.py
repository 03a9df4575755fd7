"""Games in the admin: read there, written by jobs only."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.processor import enqueue_many

from .models import Game

if TYPE_CHECKING:  # unfold says nothing about types
    ModelAdmin = admin.ModelAdmin[Game]
else:
    from unfold.admin import ModelAdmin


class DepthFilter(admin.SimpleListFilter):
    title = "depth"
    parameter_name = "depth"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("full", "With details"), ("basic", "Name, year and image only")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Game]) -> QuerySet[Game]:
        if self.value() not in ("full", "basic"):
            return queryset
        return queryset.filter(details_synced_at__isnull=self.value() == "basic")


@admin.register(Game)
class GameAdmin(ModelAdmin):
    list_display = ("name", "year", "rank", "rating", "weight", "players", "kind", "synced_at")
    list_filter = ("kind", DepthFilter, "synced_at")
    search_fields = ("name", "=bgg_id")
    ordering = ("rank", "name")
    actions = ("synchronise",)
    list_after_template = change_form_after_template = "bgg/powered.html"
    fieldsets: ClassVar = [
        (None, {"fields": ["name", "year", "rank", "other_ranks", "kind", "page", "text", "alternate_names"]}),
        ("To play", {"fields": ["players", "minutes", "min_age", "weight", "categories", "mechanics", "designers"]}),
        ("Family", {"fields": ["bases", "extensions"]}),
        ("Ratings", {"fields": ["rating", "bayes_rating", "users_rated"]}),
        ("Images", {"fields": ["image", "thumbnail"]}),
        ("Synchronised", {"fields": ["synced_at", "details_synced_at", "synced_by"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Game | None = None) -> bool:
        return False

    def has_synchronise_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bgg.change_game")

    @admin.action(description="Synchronise with BoardGameGeek", permissions=["synchronise"])
    def synchronise(self, request: HttpRequest, queryset: QuerySet[Game]) -> None:
        options = {"created_by": request.user.get_username(), "priority": "high"}
        ids = queryset.values_list("pk", flat=True)
        jobs = enqueue_many(("bgg_sync", {"gameId": pk, "forceUpdate": True}, options) for pk in ids)
        self.message_user(request, f"Jobs enqueued: {len(jobs)}.", messages.SUCCESS)

    @admin.display(description="players", ordering="max_players")
    def players(self, game: Game) -> str:
        return _range(game.min_players, game.max_players)

    @admin.display(description="minutes")
    def minutes(self, game: Game) -> str:
        return _range(game.min_playing_time, game.max_playing_time)

    @admin.display(description="description")
    def text(self, game: Game) -> str:
        return game.description

    @admin.display(description="other ranks")
    def other_ranks(self, game: Game) -> str:
        return "\n".join(f"{entry['name']}: {entry['rank'] or 'not ranked'}" for entry in game.ranks)

    @admin.display(description="base games")
    def bases(self, game: Game) -> str:
        return _listed(game.base_games)

    @admin.display(description="expansions")
    def extensions(self, game: Game) -> str:
        return _listed(game.expansions)

    @admin.display(description="at BoardGameGeek")
    def page(self, game: Game) -> SafeString:
        return format_html('<a href="{0}" rel="noopener">{0}</a>', game.address)


def _range(low: int | None, high: int | None) -> str:
    return " to ".join(str(number) for number in dict.fromkeys((low, high)) if number is not None)


def _listed(games: list[dict[str, Any]]) -> str:
    return "\n".join(f"{game['name']} ({game['id']})" for game in games)
