"""What is at a gateway and has no row here: kept open, with an alarm for staff, until it is explained."""

from datetime import datetime

from billing.gateways.reconciling import ListedObject
from billing.models import GatewayCustomer, UnexplainedItem
from core import audit, tenancy

FOUND_LATER = "a row of ours accounts for it now"


def record_unexplained(*, gateway: str, listed: ListedObject, note: str) -> UnexplainedItem:
    """Keep the object as unexplained; again changes nothing, also after staff resolved it."""
    with tenancy.as_worker():
        owner = GatewayCustomer.objects.filter(gateway=gateway, reference=listed.customer).first()
        item, is_new = UnexplainedItem.objects.get_or_create(
            gateway=gateway,
            type=listed.ref.type,
            reference=listed.ref.id,
            defaults={
                "customer": listed.customer,
                "organization_id": owner.organization_id if owner else None,
                "amount_minor": listed.amount.minor if listed.amount else None,
                "currency": listed.amount.currency if listed.amount else "",
                "occurred_at": listed.created_at,
                "note": note[:255],
            },
        )
        if is_new:
            audit.record(action="reconciliation.unexplained", entity=item, actor=gateway, new={"note": item.note})
    return item


def resolve(*, item: UnexplainedItem, reason: str, actor: object, at: datetime) -> bool:
    """Close the item with a reason; False when it is closed already."""
    with tenancy.as_worker():
        rows = UnexplainedItem.objects.filter(pk=item.pk, resolved_at__isnull=True)
        is_resolved = bool(rows.update(resolved_at=at, resolution=reason[:191]))
        if is_resolved:
            audit.record(action="reconciliation.resolved", entity=item, actor=actor, new={"reason": reason})
    return is_resolved
