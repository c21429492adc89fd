"""What gateways hold for us beside our clearing accounts: to the cent the same, when nothing is under way."""

from datetime import datetime

from billing.gateways.base import driver_of
from billing.gateways.reconciling import Balances
from billing.models import AccountKind, GatewayBalance, LedgerAccount
from core import tenancy
from core.money import Money


def compare_balances(*, gateway: str, at: datetime) -> int:
    """Write down what the gateway holds and what our books say of each currency; how many differ.

    0 where it cannot be asked. Raises the errors of `outside`.
    """
    driver = driver_of(gateway)
    if not isinstance(driver, Balances):
        return 0
    held = {part.currency: part for part in driver.read_balances()}
    with tenancy.as_worker():
        accounts = LedgerAccount.objects.with_posted_minor().filter(kind=AccountKind.CLEARING, gateway=gateway)
        clearing = {row.currency: -row.posted_minor for row in accounts}  # type: ignore[attr-defined]
        known = {row.currency: row for row in GatewayBalance.objects.filter(gateway=gateway)}
        rows = []
        for currency in sorted({*held, *clearing, *known}):
            there, here = held.get(currency, Money(0, currency)).minor, clearing.get(currency, 0)
            before = known.get(currency)
            since = None if there == here else (before and before.differs_since) or at
            said = {"held_minor": there, "clearing_minor": here, "differs_since": since, "read_at": at}
            rows.append(GatewayBalance(gateway=gateway, currency=currency, **said))
        GatewayBalance.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["gateway", "currency"],
            update_fields=["held_minor", "clearing_minor", "differs_since", "read_at"],
        )
    return sum(row.differs_since is not None for row in rows)
