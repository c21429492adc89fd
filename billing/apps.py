"""billing's Django configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    is_nodebyte = True

    def ready(self) -> None:
        from billing import inbox, refunds, settings  # noqa: F401 - models must be loaded first
        from billing.models import GatewayEvent, RefundTask
        from core import work

        work.register(GatewayEvent, inbox.perform)
        work.register(RefundTask, refunds.perform)
