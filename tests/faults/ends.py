"""What must hold when everything has arrived and the workers have finished: the books, Stripe and the panel agree."""

from typing import Any

from django.db.models import F, Q

from billing import subscriptions
from billing.models import (
    AccountKind,
    AllocationReversal,
    Dispute,
    GatewaySubscription,
    Invoice,
    InvoiceState,
    LedgerAccount,
    PaymentState,
    Refund,
    RefundState,
    UnexplainedItem,
)
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers.models import HoldKind, Server, ServerHold, ServerStatus
from tests import shop as shops


def objects_of(stripe: Sandbox, kind: str, *statuses: str) -> list[dict[str, Any]]:
    """Stripe's objects of a kind in one of the statuses."""
    return [row for row in stripe.stripe_state().get(kind, []) if row["status"] in statuses]


def unswept(stripe: Sandbox) -> set[str]:
    """The refunds and disputes of which neither a row nor an unexplained item is here."""
    made = objects_of(stripe, "refund", "pending", "succeeded")
    made += objects_of(stripe, "dispute", "needs_response", "under_review", "lost", "appeal_under_review")
    known: set[str | None] = set(Refund.objects.values_list("transaction_id", flat=True))
    known |= set(Dispute.objects.values_list("reference", flat=True))
    known |= set(UnexplainedItem.objects.values_list("reference", flat=True))
    return {row["id"] for row in made} - known


def assert_clearing_is_what_stripe_holds(stripe: Sandbox) -> None:
    """To the cent: fees and payouts are booked."""
    held: dict[str, int] = {}
    for row in stripe.stripe_state().get("balance_transaction", []):
        held[row["currency"].upper()] = held.get(row["currency"].upper(), 0) + row["net"]
    accounts = LedgerAccount.objects.with_posted_minor().filter(kind=AccountKind.CLEARING)
    assert {row.currency: -row.posted_minor for row in accounts} == held  # type: ignore[attr-defined]
    assert_staff_have_to_look_only_at_failed_refunds()


def assert_staff_have_to_look_only_at_failed_refunds() -> None:
    items = UnexplainedItem.objects.filter(resolved_at=None).values_list("type", "reference", "note")
    failed = Refund.objects.filter(state=RefundState.FAILED).values_list("transaction_id", "pk")
    assert {item[1] for item in items} == {reference or str(pk) for reference, pk in failed}, list(items)


def assert_disputes_end_as_at_stripe(stripe: Sandbox) -> None:
    """A dispute that is won or lost at Stripe is so here; one that was won before we knew of it took nothing."""
    at_stripe = {row["id"]: row["status"] == "won" for row in objects_of(stripe, "dispute", "won", "lost")}
    here = dict(Dispute.objects.filter(reference__in=at_stripe).values_list("reference", "is_won"))
    assert here == {reference: is_won for reference, is_won in at_stripe.items() if reference in here or not is_won}


def assert_paid_orders_are_delivered() -> None:
    """An order that keeps its money is active: a canceled one has given it back, unless a bank has it."""
    taken = Invoice.objects.filter(allocations__payment__state=PaymentState.DISPUTED)
    pending = Invoice.objects.filter(allocations__reversals__refund__state=RefundState.PENDING)
    kept = Order.objects.filter(invoice__state=InvoiceState.PAID)
    kept = kept.exclude(invoice__in=taken).exclude(invoice__in=pending)
    assert set(kept.values_list("status", flat=True)) <= {OrderStatus.ACTIVE}


def assert_servers_run_while_paid(stripe: Sandbox) -> None:
    """A server is on hold while its current period's money is disputed, lost or refunded, and only then."""
    held = set(ServerHold.objects.filter(lifted_at=None, kind=HoldKind.BILLING).values_list("server_id", flat=True))
    existing = Server.objects.exclude(status=ServerStatus.DELETED)
    lasting = existing.exclude(order_item__subscription__status__in=subscriptions.OVER)
    invoiced = "order_item__subscription__invoice_items"
    current = lasting.filter(
        **{f"{invoiced}__period_start": F("order_item__subscription__current_period_start")},
        **{f"{invoiced}__invoice__state": InvoiceState.REFUNDED},
    )
    period = {f"{invoiced}__period_start": F("order_item__subscription__current_period_start")}
    open_disputes = Dispute.objects.filter(closed_at=None).values("payment__allocations__invoice")
    lost = AllocationReversal.objects.filter(dispute__isnull=False, undone_at=None).values("allocation__invoice")
    disputed = lasting.filter(
        Q(**period, **{f"{invoiced}__invoice__in": open_disputes}) | Q(**period, **{f"{invoiced}__invoice__in": lost})
    )
    unpaid = set(current.values_list("pk", flat=True)) | set(disputed.values_list("pk", flat=True))
    assert held & set(lasting.values_list("pk", flat=True)) == unpaid
    external = {str(row["external_id"]): row["status"] == "suspended" for row in shops.panel_servers(stripe)}
    assert len(external) == len(shops.panel_servers(stripe))
    assert external == {str(server.pk): server.pk in held for server in existing}


def assert_nothing_is_charged_in_vain(stripe: Sandbox) -> None:
    """What charges at Stripe is one for a sale, and that sale has its money and its server."""
    charging = {
        row["id"] for row in objects_of(stripe, "subscription", "active", "past_due") if not row["cancel_at_period_end"]
    }
    rows = GatewaySubscription.objects.filter(reference__in=charging).select_related("subscription")
    assert len({row.subscription_id for row in rows}) == len(charging)
    for ours in (row.subscription for row in rows):
        assert ours.status in subscriptions.PERIOD_STATUSES
        assert not Server.objects.filter(order_item__subscription=ours, status=ServerStatus.DELETED).exists()
        latest = Invoice.objects.filter(items__subscription=ours, paid_at__isnull=False).order_by("-paid_at")[0]
        assert latest.state != InvoiceState.REFUNDED
