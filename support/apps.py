"""support's Django configuration."""

from django.apps import AppConfig


class SupportConfig(AppConfig):
    name = "support"
    is_nodebyte = True

    def ready(self) -> None:
        from core import work
        from support import channels, events, notifications, staff_events  # noqa: F401
        from support.email import EMAIL, EmailChannel
        from support.models import Delivery, MessageTask

        channels.register(EMAIL, EmailChannel())
        work.register(Delivery, channels.deliver)
        work.register(MessageTask, notifications.compose)
