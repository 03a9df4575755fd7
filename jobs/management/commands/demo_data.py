"""`manage.py demo_data`: a staff login and an API key for this checkout, kept in `.jobyard/credentials`."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from jobs import keys
from jobs.management import development
from jobs.models import ApiKey


class Command(BaseCommand):
    help = "Makes the staff login and the API key in .jobyard/credentials, where the database lacks them."

    def handle(self, *args: Any, **options: Any) -> None:
        kept = development.credentials()
        users = get_user_model()._default_manager
        if not users.filter(username=kept["DEMO_LOGIN"]).exists():
            users.create_superuser(username=kept["DEMO_LOGIN"], password=kept["DEMO_PASSWORD"])
        if keys.find(kept.get("DEMO_API_KEY", "")) is None:
            ApiKey.objects.filter(name="demo").delete()
            key = keys.create("demo", ApiKey.Scope.values)
            development.write_credentials(kept | {"DEMO_API_KEY": key})
