"""Events for what people change in the admin, with what was there before: of every model that has a form."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from jobs.admin.base import ModelAdmin, ModelForm, actor
from jobs.models import Event
from jobs.payload import REDACTED

LONGEST = 300  # characters of a subject


class Audited(ModelAdmin):
    """Leaves an event for each row that was added, changed or deleted, in the transaction that does it."""

    kept_back: frozenset[str] = frozenset()  # fields whose values are not written down

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        now = {name: self._told(name, value) for name, value in form.cleaned_data.items()}
        if not change:
            self.record(
                request, obj, "added", after={name: value for name, value in now.items() if value or value == 0}
            )
            return
        before = {name: self._told(name, form.initial.get(name)) for name in form.changed_data if name in now}
        # A time zone counts as changed by itself: the row has it as text.
        if names := [name for name in before if before[name] != now[name] or name in self.kept_back]:
            before, after = ({name: side[name] for name in names} for side in (before, now))
            self.record(request, obj, "changed", before=before, after=after)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.record(request, obj, "deleted")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for obj in queryset:
                self.record(request, obj, "deleted")
            super().delete_queryset(request, queryset)

    def record(self, request: HttpRequest, obj: Model, kind: str, **changes: Any) -> None:
        subject = f"{self.opts.verbose_name} {obj}"[:LONGEST]
        Event.objects.create(subject=subject, kind=kind, actor=actor(request), **changes)

    def _told(self, name: str, value: Any) -> Any:
        if name in self.kept_back:
            return REDACTED if value else ""
        if isinstance(value, str) or not isinstance(value, Iterable):
            return value if isinstance(value, str | int | float | bool | None) else str(value)
        return sorted(str(item) for item in value)
