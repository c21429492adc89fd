"""support's Django configuration."""

from django.apps import AppConfig


class SupportConfig(AppConfig):
    name = "support"
    is_nodebyte = True

    def ready(self) -> None:
        from core import work
        from support import email, receivers  # noqa: F401
        from support.models import Delivery

        work.register(Delivery, email.deliver)
