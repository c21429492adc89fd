"""billing's Django configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    is_nodebyte = True

    def ready(self) -> None:
        from billing import gateway_sync, refunds, reviews, settings  # noqa: F401 - models first
        from billing.gateways import base, stripe
        from billing.models import GatewayCancelTask, GatewayEvent, PaymentTask, RefundTask
        from core import work

        base.register("stripe", stripe.StripeDriver)
        work.register(GatewayEvent, gateway_sync.process_event, batch_handler=gateway_sync.settle_events)
        work.register(PaymentTask, reviews.pay_again)
        work.register(GatewayCancelTask, gateway_sync.end_gateway_subscription)
        work.register(RefundTask, refunds.perform)
