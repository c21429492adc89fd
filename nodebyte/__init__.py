"""The project. Importing it makes NodeByte's Celery app the current one, so that web processes send to its broker."""

from nodebyte.celery import app

__all__ = ["app"]
