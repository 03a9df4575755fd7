"""What holds for every test. `services` starts the servers; see there."""

from django.conf import settings


def pytest_configure() -> None:
    """Static files are served from where they lie, as in development: tests collect none. Passwords cost no time."""
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
