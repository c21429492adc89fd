"""Money that customers pay into their wallet: a payment that serves no invoice."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Organization
from billing import gateway_accounts
from billing.models import Payment
from core import tenancy
from core.money import Money

LIFETIME = timedelta(minutes=45)
MAX_OPEN = 5  # of one organization
# What is offered, in units of the currency; the first is the least and MAX_FACTOR times the last the most.
AMOUNTS = (5, 10, 25, 50)
MAX_FACTOR = 20
# Currencies of which one unit buys little: what about a dollar is, as a round number.
UNITS = (
    dict.fromkeys(("CZK", "MXN", "PHP", "THB", "TRY", "TWD", "UAH", "ZAR"), 20)
    | dict.fromkeys(("DKK", "NOK", "SEK"), 10)
    | dict.fromkeys(("INR", "ISK", "JPY", "RUB"), 100)
    | dict.fromkeys(("ARS", "CLP", "KRW", "NGN"), 1_000)
    | {"HUF": 400, "COP": 4_000, "IDR": 10_000, "PYG": 10_000, "VND": 20_000}
)


class TooManyOpen(ValueError):
    """The organization has as many top-ups open as it may; one is paid or over first."""


class OutOfBounds(ValueError):
    """The amount is less or more than can be topped up, or in another currency than the organization's."""


def amounts_for(currency: str) -> list[Money]:
    """The amounts that are offered, the least first."""
    return [Money.parse(str(amount * UNITS.get(currency, 1)), currency) for amount in AMOUNTS]


def bounds_of(currency: str) -> tuple[Money, Money]:
    """The least and the most that one top-up may be of."""
    offered = amounts_for(currency)
    return offered[0], Money(offered[-1].minor * MAX_FACTOR, currency)


def open_top_up(*, organization: Organization, amount: Money, form_token: UUID, at: datetime) -> Payment:
    """The open payment of a top-up; the same form sent again gives the same payment.

    Raises OutOfBounds, TooManyOpen, and NoGateway where no account takes the currency.
    """
    least, most = bounds_of(organization.currency)
    if amount.currency != organization.currency or not least <= amount <= most:
        raise OutOfBounds(f"{amount} is not between {least} and {most}")
    accounts = gateway_accounts.accounts_for(currency=amount.currency)
    if not accounts:
        raise gateway_accounts.NoGateway(amount.currency)
    with tenancy.as_worker(organization):
        Organization.objects.select_for_update(no_key=True).only("pk").get(pk=organization.pk)  # one counts at a time
        key = f"top-up-{organization.pk}-{form_token}-{amount.minor}"
        known = Payment.objects.filter(idempotency_key=key).first()
        if known is not None:
            return known
        if open_top_ups(organization).count() >= MAX_OPEN:
            raise TooManyOpen(f"{MAX_OPEN} top-ups of {organization.pk} are open")
        expires_at = (at + LIFETIME).replace(microsecond=0)
        payment, _is_new = Payment.objects.get_or_create(
            idempotency_key=key,
            defaults={
                "organization": organization,
                "gateway": accounts[0].code,
                "is_live": accounts[0].is_live,
                "amount_minor": amount.minor,
                "currency": amount.currency,
                "expires_at": expires_at,
                "poll_at": expires_at,
                "created_at": at,
            },
        )
    return payment


def open_top_ups(organization: Organization) -> "QuerySet[Payment]":
    """Those that wait for the customer or for a bank, newest first. What we charge by ourselves is not one."""
    rows = Payment.objects.filter(organization=organization, invoice=None, is_automatic=False, state__in=Payment.OPEN)
    return rows.select_related("payment_method").order_by("-created_at")


def last_decline_of(organization: Organization) -> Payment | None:
    """The customer's last top-up, where the saved method that they chose was refused."""
    rows = Payment.objects.filter(organization=organization, invoice=None, is_automatic=False)
    last = rows.select_related("payment_method").order_by("-created_at").first()
    return last if last is not None and last.is_declined else None
