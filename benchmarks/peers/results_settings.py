"""What a Django project with django-celery-results sets."""

from config import environment as env

INSTALLED_APPS = ["django_celery_results"]
DATABASES = {"default": env.database("DATABASE_URL", "")}
USE_TZ = True
