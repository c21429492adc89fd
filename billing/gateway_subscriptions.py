"""Subscriptions at a gateway that charge for ours: linked when their money arrives, ended when they must not charge."""

from datetime import datetime
from uuid import UUID

from billing.gateways.base import GatewayPayment, driver_of
from billing.models import GatewayCancelTask, GatewaySubscription, Payment, Subscription, SubscriptionStatus
from core import audit, tenancy, work

OVER = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED})


def link(*, payment_id: UUID, gateway_payment: GatewayPayment, at: datetime) -> None:
    """Store which gateway subscription charges for the one that this payment was to begin.

    Another one beside the first, because the sale was paid twice, is ended: it would charge every month again. So is
    one for a subscription that is over. Calling it twice is harmless; the caller has settled the payment just now.
    """
    reference = gateway_payment.subscription_reference
    payment = Payment.objects.get(pk=payment_id)
    if not reference or gateway_payment.payment_id != payment.pk or payment.invoice_id is None:
        return
    subscription = Subscription.objects.filter(invoice_items__invoice=payment.invoice_id).order_by("pk").first()
    if subscription is None:
        return
    row, is_new = GatewaySubscription.objects.get_or_create(
        gateway=payment.gateway,
        reference=reference,
        defaults={
            "organization_id": subscription.organization_id,
            "subscription": subscription,
            "is_live": gateway_payment.is_live,
            "is_duplicate": subscription.gateway_subscriptions.filter(is_duplicate=False).exists(),
        },
    )
    if is_new and (row.is_duplicate or subscription.status in OVER):
        request_cancellation(subscription=subscription, at=at, only=row)


def request_cancellation(*, subscription: Subscription, at: datetime, only: GatewaySubscription | None = None) -> None:
    """Have the gateway end what charges for the subscription, or `only` one of it; twice is harmless."""
    with tenancy.as_worker():
        rows = subscription.gateway_subscriptions.filter(ended_at__isnull=True)
        for row in rows.filter(pk=only.pk) if only else rows:
            _task, is_new = GatewayCancelTask.objects.get_or_create(gateway_subscription=row, defaults={"run_at": at})
            if is_new:
                row.cancel_requested_at = at
                row.save(update_fields=["cancel_requested_at"])
                audit.record(
                    action="subscription.end_at_gateway",
                    entity=subscription,
                    actor=row.gateway,
                    new={"reference": row.reference, "is_duplicate": row.is_duplicate},
                )
                work.wake_worker(GatewayCancelTask)


def perform(task: GatewayCancelTask, *, at: datetime) -> None:
    """End the gateway subscription. The call is harmless where it has ended already."""
    row = GatewaySubscription.objects.get(pk=task.gateway_subscription_id)
    if row.ended_at is None:
        driver_of(row.gateway).cancel_subscription(row.reference)
        mark_ended(gateway=row.gateway, reference=row.reference, at=at)


def mark_ended(*, gateway: str, reference: str, at: datetime) -> None:
    """The gateway subscription charges no more."""
    with tenancy.as_worker():
        GatewaySubscription.objects.filter(gateway=gateway, reference=reference, ended_at__isnull=True).update(
            ended_at=at
        )
