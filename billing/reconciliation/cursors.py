"""How far each of a gateway's lists was read."""

from datetime import datetime

from billing.models import CursorType, GatewayCursor, GatewayCustomer
from core import tenancy


def read_until(gateway: str, cursor_type: CursorType) -> datetime | None:
    """How far the list was read; before the first run, when our first customer at the gateway was created.

    None without a customer: nothing there can concern us.
    """
    cursor = GatewayCursor.objects.filter(gateway=gateway, type=cursor_type).first()
    if cursor is not None:
        return cursor.read_until
    customers = GatewayCustomer.objects.filter(gateway=gateway)
    return customers.order_by("created_at").values_list("created_at", flat=True).first()


def move(gateway: str, cursor_type: CursorType, to: datetime) -> None:
    """Move the cursor forward; a run that is behind another one leaves it."""
    with tenancy.as_worker():
        cursor, is_new = GatewayCursor.objects.get_or_create(
            gateway=gateway, type=cursor_type, defaults={"read_until": to}
        )
        if not is_new:
            GatewayCursor.objects.filter(pk=cursor.pk, read_until__lt=to).update(read_until=to)
