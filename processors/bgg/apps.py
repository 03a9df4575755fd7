from django.apps import AppConfig


class BggConfig(AppConfig):
    name = "processors.bgg"
    verbose_name = "Board games"
    default_auto_field = "django.db.models.BigAutoField"
