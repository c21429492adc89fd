"""core's Django configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "core"
    is_nodebyte = True

    def ready(self) -> None:
        from core import checks, schema  # noqa: F401 - importing registers the checks

        post_migrate.connect(schema.apply_after_migrate, sender=self)
