"""The Celery app: nudges and the clock. Every fact is a row; losing the whole broker loses nothing."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nodebyte.settings")
app = Celery("nodebyte")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
