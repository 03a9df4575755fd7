"""Forms made from what a job type takes: a field for each property of its payload's JSON Schema.

What a field cannot show (objects, lists of them, a plain task's arguments) is edited as JSON. The payload's model
has the last word: its errors come back at the fields that they name.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.utils.dateparse import parse_datetime

from jobs.errors import InvalidOption, InvalidPayload, UnknownQueue
from jobs.models import Priority
from jobs.payload import uncovered
from jobs.processor import Processor

Schema = dict[str, Any]


class JsonField(forms.JSONField):
    """JSON for people: over several lines, and nothing that JSON does not know."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply.") from None

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, forms.fields.InvalidJSONInput):  # what was typed
            return value
        return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


class LinesField(forms.CharField):
    """A list of short values, one a line."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class PayloadForm(forms.Form):
    """The payload of one job type. When it is valid, `payload` is JSON as the row will have it."""

    payload = ""

    def __init__(
        self,
        processor: Processor,
        data: Mapping[str, Any] | None = None,
        *,
        values: Any = None,
        as_json: bool = False,
        secrets_of: Mapping[str, Any] | None = None,
    ) -> None:
        """`values` is a payload to begin with; a secret that is left empty is taken from the payload `secrets_of`."""
        super().__init__(data, prefix="payload")
        self.processor = processor
        self.secrets_of = secrets_of or {}
        self.schema = schema_of(processor)
        self.as_json = as_json or not self.schema.get("properties")
        shown = processor.redact(values) if values is not None else {}
        if self.as_json:
            whole = shown or ({} if processor.payload_model else {"args": [], "kwargs": {}})
            self.fields["json"] = JsonField(label="Payload", initial=whole, required=False)
            return
        for name, schema in self.schema["properties"].items():
            plain = _resolved(schema, self.schema)
            field = _field(plain, self.schema, required=name in self.schema.get("required", ()))
            field.label = _label(name, plain.get("title", ""))
            field.help_text = f"{plain.get('description', '')} {field.help_text}".strip()
            if _is_secret(plain):
                field.required = field.required and not self.secrets_of.get(name)
                if self.secrets_of.get(name):
                    field.help_text = f"{field.help_text} Leave it empty to keep the one before.".strip()
            elif name in shown:
                field.initial = _initial(plain, shown[name])
            elif "default" in plain:
                field.initial = _initial(plain, plain["default"])
            self.fields[name] = field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                values = uncovered(self.processor.payload_model, self._values(cleaned), dict(self.secrets_of))
                self.payload = self.processor.encode_row_payload(values)
            except InvalidPayload as error:
                self._tell(error)
        return cleaned

    def _values(self, cleaned: Mapping[str, Any]) -> Any:
        if self.as_json:
            return cleaned["json"]
        values = {}
        for name, value in cleaned.items():
            schema = _resolved(self.schema["properties"][name], self.schema)
            if value in (None, "") or (value == [] and isinstance(self.fields[name], LinesField)):
                if _is_secret(schema) and self.secrets_of.get(name):
                    values[name] = self.secrets_of[name]
                elif schema.get("nullable"):
                    values[name] = None
                elif schema.get("type") == "string" and not _has_form(schema):
                    values[name] = ""
                elif schema.get("type") == "array":
                    values[name] = []
                continue
            values[name] = value.isoformat() if hasattr(value, "isoformat") else value
        return values

    def _tell(self, error: InvalidPayload) -> None:
        for wrong in error.errors:
            place = [str(part) for part in wrong["loc"]]  # type: ignore[attr-defined]
            name = next(
                (name for name in self.fields if place and name in (place[0], _alias(self.processor, place[0]))), None
            )
            within = ".".join(place[1:] if name else place)
            self.add_error(
                name or ("json" if self.as_json else None), f"{within}: {wrong['msg']}" if within else str(wrong["msg"])
            )
        if not error.errors:
            self.add_error(None, str(error))


def schema_of(processor: Processor) -> Schema:
    """JSON Schema of the payload; empty for a plain task."""
    return processor.payload_model.model_json_schema() if processor.payload_model else {}


def _alias(processor: Processor, name: str) -> str:
    model = processor.payload_model
    field = model.model_fields.get(name) if model else None
    return (field.alias or name) if field else name


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Without references and `null`: `nullable` says that there was one."""
    if "$ref" in schema:
        found = root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {})
        return _resolved({**found, **{key: value for key, value in schema.items() if key != "$ref"}}, root)
    for combined in ("anyOf", "oneOf", "allOf"):
        if combined in schema:
            kinds = [_resolved(kind, root) for kind in schema[combined]]
            rest = [kind for kind in kinds if kind.get("type") != "null"]
            own = {key: value for key, value in schema.items() if key != combined}
            # Of several kinds, text is what people can write down.
            chosen = rest[0] if len(rest) == 1 else next((k for k in rest if k.get("type") == "string"), {})
            if len(rest) > 1:
                chosen = {key: value for key, value in chosen.items() if key in ("type",)}
            return {**chosen, **own, "nullable": len(rest) < len(kinds)}
    return schema


def _label(name: str, title: str) -> str:
    """What the model calls it; a title that pydantic made of the name is not as good as the name."""
    if title and title != name.replace("_", " ").title():
        return title
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower()
    return words[:1].upper() + words[1:]


def _initial(schema: Schema, value: Any) -> Any:
    """As a field has it."""
    return (parse_datetime(value) or value) if schema.get("format") == "date-time" and value else value


def _is_secret(schema: Schema) -> bool:
    return bool(schema.get("writeOnly"))


def _has_form(schema: Schema) -> bool:
    return "enum" in schema or schema.get("format") in ("date-time", "date")


def _field(schema: Schema, root: Schema, *, required: bool) -> forms.Field:
    """The field for a property. Bounds are told by the browser, and checked by the model."""
    kind = schema.get("type")
    if _is_secret(schema):
        hidden = forms.PasswordInput(attrs={"autocomplete": "new-password"})  # never filled in by Django
        return forms.CharField(required=required, strip=False, widget=hidden)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        choices = [(value, str(value)) for value in values]
        empty = [] if required or ("default" in schema and not schema.get("nullable")) else [("", "—")]
        by_text = {str(value): value for value in values}
        return forms.TypedChoiceField(
            choices=[*empty, *choices], required=required, coerce=lambda text: by_text[text], empty_value=None
        )
    match kind, schema.get("format"):
        case "boolean", _ if schema.get("nullable") or required:
            return _YesNo(required=required)
        case "boolean", _:
            return forms.BooleanField(required=False)
        case "integer", _:
            return forms.IntegerField(required=required, **_bounds(schema))
        case "number", _:
            return forms.FloatField(required=required, **_bounds(schema))
        case "string", "date-time":
            return forms.DateTimeField(required=required, widget=_moment_input(), help_text="UTC.")
        case "string", "date":
            return forms.DateField(required=required, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
        case "string", _:
            return forms.CharField(required=required, strip=False)
        case "array", _ if _resolved(schema.get("items", {}), root).get("type") in ("string", "integer", "number"):
            return LinesField(required=required and bool(schema.get("minItems")), help_text="One a line.")
    return JsonField(required=required, help_text="JSON.")


class _YesNo(forms.TypedChoiceField):
    """A truth value that may be left open, or must be told."""

    def __init__(self, *, required: bool) -> None:
        choices = [("", "—"), ("true", "yes"), ("false", "no")]
        super().__init__(choices=choices, required=required, coerce=lambda text: text == "true", empty_value=None)

    def prepare_value(self, value: Any) -> Any:
        return json.dumps(value) if isinstance(value, bool) else value


def _bounds(schema: Schema) -> dict[str, Any]:
    bounds = {"min_value": "minimum", "max_value": "maximum"}
    return {name: schema[word] for name, word in bounds.items() if word in schema}


def _moment_input() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")


class OptionsForm(forms.Form):
    """How a new job is to run. Empty: as its type says."""

    queue = forms.ChoiceField(required=False)
    priority = forms.TypedChoiceField(required=False, coerce=int, empty_value=None)
    delay = forms.FloatField(required=False, min_value=0, label="Delay (seconds)")
    scheduled_at = forms.DateTimeField(
        required=False, widget=_moment_input(), label="Not before", help_text="UTC. Empty: at once."
    )
    unique_key = forms.CharField(
        required=False, max_length=255, help_text="At most one waiting or running job of this type has it."
    )
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    max_attempts = forms.IntegerField(required=False, min_value=1, max_value=1000, label="Attempts at most")

    def __init__(self, processor: Processor, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, prefix="options")
        default = processor.queue or settings.CELERY_TASK_DEFAULT_QUEUE
        self.fields["queue"].choices = [("", f"{default} (usual)"), *((name, name) for name in settings.JOBS_QUEUES)]  # type: ignore[attr-defined]
        usual = "by the payload" if processor.rank else int(processor.priority or Priority.NORMAL)
        names = {int(priority): priority.name.lower() for priority in Priority}
        ranks = [(rank, f"{rank} {names.get(rank, '')}".strip()) for rank in range(10, 0, -1)]
        self.fields["priority"].choices = [("", f"{usual} (usual)"), *ranks]  # type: ignore[attr-defined]
        self.fields["max_attempts"].widget.attrs["placeholder"] = processor.max_attempts_by_default()

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("delay") is not None and cleaned.get("scheduled_at"):
            self.add_error("delay", "Give a delay or a time, not both.")
        return cleaned

    @property
    def options(self) -> dict[str, Any]:
        """As `jobs.options` names them; only those that were given."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [])}

    def tell(self, error: InvalidOption | UnknownQueue) -> None:
        """Show what is wrong with an option at its field."""
        name = getattr(error, "field", "queue")
        self.add_error(name if name in self.fields else None, str(error))
