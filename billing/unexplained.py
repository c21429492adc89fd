"""What is at a gateway and has no row here: kept open, with an alarm for staff, until it is explained."""

from datetime import datetime

from billing import gateway_accounts
from billing.gateways.reconciling import BalanceTransaction, ListedObject
from billing.models import GatewayCustomer, Refund, UnexplainedItem, UnexplainedType
from core import audit, tenancy

FOUND_LATER = "a row of ours accounts for it now"


def record_unexplained(*, gateway: str, listed: ListedObject | BalanceTransaction, note: str) -> UnexplainedItem:
    """Keep what is listed as unexplained; again changes nothing, also after staff resolved it."""
    found_type, reference, amount = UnexplainedType.BALANCE_TRANSACTION, "", listed.amount
    if isinstance(listed, BalanceTransaction):
        reference, amount = listed.reference, listed.net
    else:
        found_type, reference = UnexplainedType(listed.ref.type), listed.ref.id
    with tenancy.as_worker():
        owner = GatewayCustomer.objects.filter(gateway=gateway, reference=listed.customer).first()
        item, is_new = UnexplainedItem.objects.get_or_create(
            gateway=gateway,
            type=found_type,
            reference=reference,
            defaults={
                "is_live": gateway_accounts.mode_of(gateway),
                "customer": listed.customer,
                "organization_id": owner.organization_id if owner else None,
                "amount_minor": None if amount is None else amount.minor,
                "currency": "" if amount is None else amount.currency,
                "occurred_at": listed.created_at,
                "note": note[:255],
            },
        )
        if is_new:
            audit.record(action="reconciliation.unexplained", entity=item, actor=gateway, new={"note": item.note})
    return item


def record_failed_refund(*, refund: Refund, note: str, at: datetime) -> None:
    """Tell staff of a refund that the customer did not get; again changes nothing, also after staff resolved it."""
    UnexplainedItem.objects.get_or_create(
        gateway=refund.gateway,
        type=UnexplainedType.FAILED_REFUND,
        reference=refund.transaction_id or str(refund.pk),
        defaults={
            "is_live": refund.is_live,
            "organization_id": refund.organization_id,
            "amount_minor": refund.amount_minor,
            "currency": refund.currency,
            "occurred_at": at,
            "note": note[:255],
        },
    )


def resolve(*, item: UnexplainedItem, reason: str, actor: object, at: datetime) -> bool:
    """Close the item with a reason; False when it is closed already."""
    with tenancy.as_worker():
        rows = UnexplainedItem.objects.filter(pk=item.pk, resolved_at__isnull=True)
        is_resolved = bool(rows.update(resolved_at=at, resolution=reason[:191]))
        if is_resolved:
            audit.record(action="reconciliation.resolved", entity=item, actor=actor, new={"reason": reason}, at=at)
    return is_resolved
