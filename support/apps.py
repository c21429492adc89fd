"""support's Django configuration."""

from django.apps import AppConfig


class SupportConfig(AppConfig):
    name = "support"
    is_nodebyte = True

    def ready(self) -> None:
        from core import work  # noqa: PLC0415 - models are ready now
        from support import mail, receivers  # noqa: F401, PLC0415
        from support.models import Delivery  # noqa: PLC0415

        work.register(Delivery, mail.deliver)
