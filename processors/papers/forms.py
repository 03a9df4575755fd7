"""What a user of the pages may send: a paper, and who is to analyse it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from . import reading


def configured() -> list[str]:
    """The providers that have a key."""
    return [name for name, provider in settings.AI_PROVIDERS.items() if provider["key"]]


class UploadForm(forms.Form):
    """`cleaned_data["file"]` is a `reading.Text`."""

    file = forms.FileField(
        allow_empty_file=True,  # `reading` says so in its own words
        widget=forms.FileInput(attrs={"accept": ".pdf,.txt,.md,application/pdf,text/plain"}),
        error_messages={"required": "Choose a file."},
    )
    title = forms.CharField(max_length=reading.MAX_TITLE, required=False)

    def clean_file(self) -> reading.Text:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        try:
            reading.check_size(file.size or 0)
            return reading.read(file.read())
        except reading.Unreadable as error:
            raise forms.ValidationError(str(error)) from error


class ProvidersForm(forms.Form):
    """All that are configured are ticked to begin with."""

    providers = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose at least one."}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["providers"]
        assert isinstance(field, forms.MultipleChoiceField)
        names = configured()
        field.choices = [(name, name) for name in names]
        field.initial = names
