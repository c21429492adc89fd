"""Stripe, the only package that knows its library. These functions are the driver (`billing.gateways.base.Driver`)."""

from billing.gateways.stripe.client import is_live
from billing.gateways.stripe.customers import ensure_customer
from billing.gateways.stripe.payments import (
    create_session,
    expire_session,
    find_session,
    read_session,
    read_transaction,
)
from billing.gateways.stripe.reconciliation import (
    EVENTS_KEPT,
    list_disputes,
    list_events,
    list_refunds,
    list_subscriptions,
)
from billing.gateways.stripe.refunds import create_refund, find_refund, read_dispute, read_refund
from billing.gateways.stripe.subscriptions import cancel_subscription, read_invoice, read_subscription
from billing.gateways.stripe.webhooks import object_of_event

__all__ = [
    "EVENTS_KEPT",
    "cancel_subscription",
    "create_refund",
    "create_session",
    "ensure_customer",
    "expire_session",
    "find_refund",
    "find_session",
    "is_live",
    "list_disputes",
    "list_events",
    "list_refunds",
    "list_subscriptions",
    "object_of_event",
    "read_dispute",
    "read_invoice",
    "read_refund",
    "read_session",
    "read_subscription",
    "read_transaction",
]
