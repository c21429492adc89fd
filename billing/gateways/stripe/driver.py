"""The driver of Stripe accounts."""

from billing.gateways.stripe.balance import BalanceTransactions
from billing.gateways.stripe.customers import Customers
from billing.gateways.stripe.reconciliation import Reconciliation
from billing.gateways.stripe.subscriptions import Subscriptions
from billing.gateways.stripe.webhooks import Webhooks


class StripeDriver(Customers, Subscriptions, Webhooks, Reconciliation, BalanceTransactions):
    """One Stripe account; what it can do stands in the modules of its bases."""

    HAS_IDEMPOTENCY_KEYS = True
    SAVES_METHODS = True
