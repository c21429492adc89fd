"""The driver of PayPal accounts."""

from billing.gateways.paypal.webhooks import Webhooks


class PayPalDriver(Webhooks):
    """One REST app at PayPal; what it can do stands in the modules of its bases."""

    HAS_IDEMPOTENCY_KEYS = True
    SAVES_METHODS = False
    CURRENCIES = frozenset({
        "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
        "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
    })  # fmt: skip
