"""What a Django project with django-celery-results sets."""

import os

from environ import Env

INSTALLED_APPS = ["django_celery_results"]
DATABASES = {"default": Env.db_url_config(os.environ["DATABASE_URL"])}
USE_TZ = True
