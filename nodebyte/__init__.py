"""The roof. Importing it makes NodeByte's Celery app the current one, so that a web process's nudges find its queue."""

from nodebyte.celery import app

__all__ = ["app"]
