"""billing's Django configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    is_nodebyte = True

    def ready(self) -> None:
        from billing import (  # models first
            gateway_sync,
            key_checks,
            payment_methods,
            refunds,
            reviews,
            saved_charges,
            settings,  # noqa: F401
        )
        from billing.gateways import base, paypal, stripe, transfer, tripay
        from billing.models import (
            ChargeTask,
            GatewayCancelTask,
            GatewayEvent,
            KeyCheckTask,
            MethodTask,
            PaymentTask,
            RefundTask,
        )
        from billing.runs import settings as run_settings  # noqa: F401
        from core import work

        base.register("paypal", paypal.PayPalDriver)
        base.register("stripe", stripe.StripeDriver)
        base.register("transfer", transfer.TransferDriver)
        base.register("tripay", tripay.TripayDriver)
        work.register(GatewayEvent, gateway_sync.process_event, batch_handler=gateway_sync.settle_events)
        work.register(KeyCheckTask, key_checks.perform)
        work.register(ChargeTask, saved_charges.perform)
        work.register(MethodTask, payment_methods.detach_at_gateway)
        work.register(PaymentTask, reviews.pay_again)
        work.register(GatewayCancelTask, gateway_sync.end_gateway_subscription)
        work.register(RefundTask, refunds.perform)
