"""The rows of a change under their locks, in the order of ARCHITECTURE.md: invoice, subscription, change."""

from uuid import UUID

from billing import invoicing, subscriptions
from orders.changes.models import PlanChange
from orders.models import OrderItem


def lock_change(change_id: UUID) -> PlanChange:
    """A change under its lock, with its invoice and its subscription locked first; the caller has a transaction."""
    invoice_id, subscription_id = PlanChange.objects.values_list("invoice_id", "subscription_id").get(pk=change_id)
    if invoice_id is not None:
        invoicing.lock_invoice(invoice_id)
    subscription = subscriptions.lock_subscription(subscription_id)
    rows = PlanChange.objects.select_for_update(no_key=True, of=("self",)).select_related(
        "invoice__organization", "plan_price__plan__product", "old_plan_price__plan", "requested_by"
    )
    change = rows.get(pk=change_id)
    change.subscription = subscription
    return change


def item_to_change(item_id: UUID) -> OrderItem:
    """An order's item with all that a change of it reads."""
    joined = ("order__organization", "subscription__organization", "server__blueprint", "server__plan")
    return OrderItem.objects.select_related(*joined).get(pk=item_id)
