from django.apps import AppConfig


class CrmConfig(AppConfig):
    name = "processors.crm"
    verbose_name = "Service CRM"
    default_auto_field = "django.db.models.BigAutoField"
