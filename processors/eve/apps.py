from django.apps import AppConfig


class EveConfig(AppConfig):
    name = "processors.eve"
    verbose_name = "EVE Online"
    default_auto_field = "django.db.models.BigAutoField"
