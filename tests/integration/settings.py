"""The deployment's settings, with the job types of these tests: for the workers that they start."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as DEPLOYED

INSTALLED_APPS = [*DEPLOYED, "tests.integration.jobtypes"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # as in `tests.conftest`: quick
