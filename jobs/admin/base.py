"""What the admin's pages share: unfold's classes with types, lists that give nothing away, a bounded count."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.admin import ShowFacets, SimpleListFilter
from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property

from jobs import metrics

if TYPE_CHECKING:  # unfold has no types, and Django's generics cannot be subscripted when they run
    from django import forms
    from django.contrib import admin
    from django.contrib.admin.views.main import ChangeList
    from django.core.paginator import Paginator as DjangoPaginator
    from django.forms import Form as DialogForm

    F = TypeVar("F", bound=Callable[..., Any])

    class UnfoldModelAdmin(admin.ModelAdmin[Any]): ...

    class StackedInline(admin.StackedInline[Any, Any]): ...

    class TabularInline(admin.TabularInline[Any, Any]): ...

    class ModelForm(forms.ModelForm[Any]): ...

    class Paginator(DjangoPaginator[Any]): ...

    def action(**options: Any) -> Callable[[F], F]: ...
    def display(**options: Any) -> Callable[[F], F]: ...
else:
    from django.core.paginator import Paginator
    from django.forms import ModelForm
    from unfold.admin import ModelAdmin as UnfoldModelAdmin
    from unfold.admin import StackedInline, TabularInline
    from unfold.decorators import action, display
    from unfold.forms import BaseDialogForm as DialogForm
    from unfold.views import ChangeList

__all__ = [
    "BoundedPaginator",
    "ChangeList",
    "DialogForm",
    "ModelAdmin",
    "ModelForm",
    "ReadOnlyAdmin",
    "StackedInline",
    "TabularInline",
    "action",
    "actor",
    "display",
    "go_to",
]


# How the filters of a list compare; the last one is for another model's rows.
COMPARISONS = frozenset({"exact", "in", "isnull", "isempty", "gt", "gte", "lt", "lte", "id__exact"})


class ModelAdmin(UnfoldModelAdmin):
    """Unfold's, but a list is narrowed by its filters alone: by any column people could guess what it does not show."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        names = map(_name, self.get_list_filter(request))
        return any(lookup == name or lookup.removeprefix(f"{name}__") in COMPARISONS for name in names)


def _name(list_filter: Any) -> str:
    """Of the column, or of the parameter that a filter of its own kind reads."""
    if isinstance(list_filter, type) and issubclass(list_filter, SimpleListFilter):
        return str(list_filter.parameter_name)
    return str(list_filter[0] if isinstance(list_filter, tuple | list) else list_filter)


class BoundedPaginator(Paginator):
    """Counts, and so pages, no further than `metrics.COUNT_LIMIT` rows: beyond that filters help, not page 4711."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[: metrics.COUNT_LIMIT].count()


class ReadOnlyAdmin(ModelAdmin):
    """Rows that the platform writes and people only look at."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count for each choice of each filter
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def actor(request: HttpRequest) -> str:
    """Who asks, as events show it."""
    return request.user.get_username()


def go_to(obj: Model | type[Model], pk: object = None) -> HttpResponse:
    """The answer to a dialog that was confirmed: show this object, or the list of its model."""
    meta = obj._meta
    key = pk or (obj.pk if isinstance(obj, Model) else None)
    page, args = ("change", [quote(str(key))]) if key else ("changelist", [])
    return HttpResponse(headers={"HX-Redirect": reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=args)})
