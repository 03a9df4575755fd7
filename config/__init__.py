import gc

gc.set_threshold(50_000, 20, 100)  # before all else: what start-up makes stays, and looking through it costs a tenth

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
