"""The driver of PayPal accounts."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from billing.gateways.paypal.webhooks import Webhooks
from core.credentials import CredentialField


class PayPalDriver(Webhooks):
    """One REST app at PayPal; what it can do stands in the modules of its bases."""

    CREDENTIALS: Sequence[CredentialField] = (
        CredentialField("client_id", _("Client ID"), is_secret=False),
        CredentialField("client_secret", _("Client secret")),
        CredentialField(
            "webhook_id",
            _("Webhook ID"),
            _("PayPal shows it after you have entered the webhook address there."),
            is_secret=False,
        ),
        CredentialField(
            "environment", _("Environment"), _("live, or sandbox for keys of PayPal's sandbox."), is_secret=False
        ),
    )
    HAS_IDEMPOTENCY_KEYS = True
    SAVES_METHODS = False
    CURRENCIES = frozenset({
        "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
        "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
    })  # fmt: skip
