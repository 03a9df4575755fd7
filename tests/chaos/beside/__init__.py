"""The same load and the same storm on this product, on Celery as it comes and on BullMQ, one after another."""
