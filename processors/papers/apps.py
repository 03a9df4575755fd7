from django.apps import AppConfig


class PapersConfig(AppConfig):
    name = "processors.papers"
    verbose_name = "Paper manager"
    default_auto_field = "django.db.models.BigAutoField"
