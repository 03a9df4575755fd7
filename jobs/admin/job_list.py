"""Finding jobs among millions: filters, search and rows that cost no scan of the table."""

import string
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from jobs.admin.base import ChangeList
from jobs.models import Queue
from jobs.processor import processors


class OneOf(admin.SimpleListFilter):
    """A filter whose choices come from a short list, not from `SELECT DISTINCT` over all jobs."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class QueueFilter(OneOf):
    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Queue.objects.values_list("name", flat=True)]


class TypeFilter(OneOf):
    title = parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in processors()]


class JobChangeList(ChangeList):
    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Rows without what may be long and the list does not show."""
        return super().get_queryset(*args, **kwargs).defer("payload", "result", "canvas")


def matching(term: str) -> Q:
    """The jobs that a person means by this. Ids and types are found by index, of keys and tags the active ones."""
    digits = term.replace("-", "").lower()
    if 8 <= len(digits) <= 32 and set(digits) <= set(string.hexdigits):
        return Q(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    name = term.replace("-", "_")
    return Q(type=name) if name in processors() else Q(unique_key=term) | Q(tags__contains=[term])
