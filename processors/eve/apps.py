from django.apps import AppConfig


class EveConfig(AppConfig):
    name = "processors.eve"
    verbose_name = "EVE Online"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them, which needs the settings)
