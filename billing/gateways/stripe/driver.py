"""The driver of Stripe accounts."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from billing.gateways.stripe.balance import BalanceTransactions
from billing.gateways.stripe.charges import Charges
from billing.gateways.stripe.customers import Customers
from billing.gateways.stripe.methods import Methods
from billing.gateways.stripe.reconciliation import Reconciliation
from billing.gateways.stripe.subscriptions import Subscriptions
from billing.gateways.stripe.webhooks import Webhooks
from core.credentials import CredentialField
from core.money import Money, exponent

# In minor units. Each is the equivalent of half a US dollar or a little more.
SMALLEST_CHARGES = {
    "USD": 50, "EUR": 50, "GBP": 30, "AED": 200, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250,
    "HKD": 400, "HUF": 17500, "IDR": 800_000, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50,
    "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip


class StripeDriver(Customers, Subscriptions, Charges, Methods, Webhooks, Reconciliation, BalanceTransactions):
    """One Stripe account; what it can do stands in the modules of its bases."""

    CREDENTIALS: Sequence[CredentialField] = (
        CredentialField("secret_key", _("Secret key"), _("Begins with sk_ or, for a restricted key, with rk_.")),
        CredentialField("webhook_secret", _("Webhook signing secret"), _("Begins with whsec_.")),
    )
    HAS_IDEMPOTENCY_KEYS = True
    SAVES_METHODS = True

    def check_keys(self) -> None:
        """Events can be listed with the secret key."""
        self.read("Stripe events", lambda stripe: stripe.v1.events.list({"limit": 1}))

    def min_amount(self, currency: str) -> Money:
        """Stripe's smallest charge; a whole unit in a currency for which none is known."""
        return Money(SMALLEST_CHARGES.get(currency, 10 ** exponent(currency)), currency)
