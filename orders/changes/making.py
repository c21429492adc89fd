"""Making a change: quoted, confirmed with its capacity reserved, and paid."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import User
from billing import gateway_accounts, invoice_payment, invoicing, item_changes, payments, subscriptions
from billing.models import Invoice, Payment, PaymentState
from billing.proration import NewItem
from catalog import services as catalog
from catalog.models import AddonPrice, PlanPrice
from core import audit, site_settings, tenancy
from orders import events
from orders.changes import locking
from orders.changes.models import OPEN, PlanChange, PlanChangeStatus
from orders.changes.quoting import ChangeQuote, Selection, items_of, quote_change
from orders.models import OrderItem
from orders.paying import GRACE
from servers import capacity
from servers import services as servers
from servers.models import Server

QUOTE_HOLDS = timedelta(minutes=30)


class QuoteOutdated(Exception):
    """The quote expired, or what it was computed from has changed: another is needed."""


class ChangeClosed(Exception):
    """The change does not wait for a payment, or too many were begun."""


class AnotherChangeOpen(Exception):
    """One change at a time: an earlier one is to be paid, canceled or applied first."""


def request_change(*, item: OrderItem, selection: Selection, actor: User, at: datetime) -> PlanChange:
    """Quote a change and keep the quote for half an hour, in place of one that was not confirmed.

    Raises AnotherChangeOpen, and ChangeRefused.
    """
    with tenancy.as_worker(item):
        subscriptions.lock_subscription(item.subscription_id)
        earlier = PlanChange.objects.filter(subscription=item.subscription_id, status__in=OPEN).first()
        if earlier is not None and earlier.status != PlanChangeStatus.QUOTED:
            raise AnotherChangeOpen(earlier.status)
        item = locking.item_to_change(item.pk)
        quote = quote_change(item=item, selection=selection, quoted_at=at)
        if earlier is not None:
            earlier.transition_to(PlanChangeStatus.CANCELED)
            earlier.save(update_fields=["status"])
        sold = PlanPrice.objects.get(subscriptionitem__in=items_of(item.subscription, at))
        return PlanChange.objects.create(
            organization_id=item.organization_id,
            item=item,
            subscription=item.subscription,
            requested_by=actor,
            old_plan_price=sold,
            old_term=item.subscription.term,
            plan_price=selection.plan_price,
            addon_prices=[str(price.pk) for price in selection.addon_prices],
            limits=asdict(quote.limits),
            lines=quote.frozen_lines(),
            currency=quote.recurring.currency,
            due_minor=quote.due.minor,
            recurring_minor=quote.recurring.minor,
            ended_items={str(row.pk): row.valid_until.isoformat() if row.valid_until else "" for row in quote.ended},
            quoted_at=at,
            effective_at=quote.effective_at,
            expires_at=at + QUOTE_HOLDS,
        )


def confirm(*, change: PlanChange, actor: User, at: datetime) -> PlanChange:
    """Reserve what the server gets in addition, and then bill the change, or schedule it. Calling it twice is harmless.

    All of it or nothing. The price is that of the quote, whatever is offered since. Raises QuoteOutdated,
    quoting.ChangeRefused, catalog.SoldOut, and capacity.InsufficientCapacity where the server's node has no more.
    """
    with tenancy.as_worker(change):
        row = locking.lock_change(change.pk)
        if row.status not in {PlanChangeStatus.QUOTED, PlanChangeStatus.CANCELED, PlanChangeStatus.EXPIRED}:
            return row
        if row.status != PlanChangeStatus.QUOTED or row.expires_at <= at:
            raise QuoteOutdated("the quote expired")
        item = locking.item_to_change(row.item_id)
        quote = require_same_quote(row, item)
        added = item_changes.add_items(subscription=item.subscription, items=quote.added)
        row.begun_items = [str(new.item.pk) for new in added if new.item]
        until = at + timedelta(minutes=site_settings.get("orders.reservation_minutes"))
        reserve(row, quote, item.server, until + GRACE if quote.is_immediate else None)
        if quote.is_immediate:
            row.invoice = draft(quote, added, item, at)
            if row.invoice.total != row.due:
                raise QuoteOutdated("the tax is no longer the same")
            row.expires_at = until
            keep_renewal_back(row, until)
            row.transition_to(PlanChangeStatus.PENDING_PAYMENT)
        else:
            item_changes.switch_items(
                subscription=row.subscription,
                ended=row.ended_items,
                begun=row.begun_items,
                term=quote.selection.term,
                at=row.effective_at,
            )
            row.transition_to(PlanChangeStatus.SCHEDULED)
        row.save()
        if row.status == PlanChangeStatus.SCHEDULED:
            events.plan_changes_moved.send(PlanChange, change_ids=[row.pk], status=row.status, at=at)
        new = {"plan": row.plan_price.plan.code, "status": row.status, "due_minor": row.due_minor}
        old = {"plan": row.old_plan_price.plan.code}
        audit.record(action="plan_change.confirm", entity=row, actor=actor, old=old, new=new, at=at)
    return row


def reserve(row: PlanChange, quote: ChangeQuote, server: Server | None, expires_at: datetime | None) -> None:
    """Take a piece of a new plan's stock, and what the server gets in addition of its own node, until `expires_at`.

    None: until the change is applied or canceled. Locks the server first; the caller saves the row. Raises
    catalog.SoldOut, and capacity.InsufficientCapacity also where the server has no capacity of its own.
    """
    if server is None or server.reservation_id is None:
        raise capacity.InsufficientCapacity("the server has no capacity of its own")
    servers.lock_server(server.pk)
    if row.plan_price.plan_id != row.old_plan_price.plan_id:
        row.is_stock_taken = catalog.take_stock(plan_id=row.plan_price.plan_id)
    if quote.growth:
        row.reservation = capacity.extend_reservation(
            reservation_id=server.reservation_id, growth=quote.growth, expires_at=expires_at
        )


def require_same_quote(row: PlanChange, item: OrderItem) -> ChangeQuote:
    """The quote, computed again as of its own instant. Raises QuoteOutdated where it comes to something else now."""
    prices = AddonPrice.objects.select_related("addon").in_bulk(row.addon_prices)
    selection = Selection(row.plan_price, [prices[UUID(key)] for key in sorted(row.addon_prices)])
    quote = quote_change(item=item, selection=selection, quoted_at=row.quoted_at)
    now = (quote.frozen_lines(), quote.recurring, quote.effective_at, asdict(quote.limits))
    if now != (row.lines, row.recurring, row.effective_at, row.limits):
        raise QuoteOutdated("what the change costs, or when it begins, is no longer the same")
    return quote


def draft(quote: ChangeQuote, added: Sequence[NewItem], item: OrderItem, at: datetime) -> Invoice:
    """The invoice of a change that begins when it is paid."""
    rows = {new.price.pk: new.item for new in added}
    lines = [
        replace(line, subscription_item=rows[line.price.pk]) if line.price is not None else line for line in quote.lines
    ]
    return invoicing.draft_invoice(
        organization=item.order.organization, currency=item.subscription.currency, lines=lines, at=at
    )


def keep_renewal_back(row: PlanChange, until: datetime) -> None:
    """Let no renewal be billed before the change is paid or over; the caller holds the subscription's lock."""
    row.subscription.change_pending_until = until + GRACE
    row.subscription.save(update_fields=["change_pending_until"])


def pay_with_credit(*, change: PlanChange, at: datetime) -> bool:
    """Pay a confirmed change from the wallet; False where the credit is less than it costs, or it is not to be paid."""
    with tenancy.as_worker(change):
        row = locking.lock_change(change.pk)
        if row.status != PlanChangeStatus.PENDING_PAYMENT or row.invoice is None:
            return False
        try:
            invoicing.pay_from_wallet(invoice=row.invoice, at=at)
        except (invoicing.InsufficientBalance, invoicing.MoneyUnderWay):
            return False
        invoicing.expire_open_payments(invoice=row.invoice, at=at)
    return True


def open_payment(*, change: PlanChange, at: datetime) -> Payment:
    """The payment that a customer can make now for a confirmed change: the open one, or a new one after a failure.

    A charge that waits for its card's owner is closed first. What is reserved for it stays reserved as long. Raises
    ChangeClosed, gateway_accounts.NoGateway, and the errors of `outside`.
    """
    with tenancy.as_worker(change):
        invoice = Invoice.objects.filter(plan_change=change.pk).first()
    if invoice is None:
        raise ChangeClosed("nothing is to be paid for it")
    invoice_payment.close_waiting(invoice=invoice, which=invoice_payment.UNCONFIRMED, at=at)
    accounts = gateway_accounts.accounts_of(invoice)  # their keys are decrypted: before anything is locked
    if not accounts:
        raise gateway_accounts.NoGateway(f"no active gateway account takes {invoice.currency}")
    with tenancy.as_worker(change):
        row = locking.lock_change(change.pk)
        if row.status != PlanChangeStatus.PENDING_PAYMENT or row.invoice is None:
            raise ChangeClosed(row.status)
        earlier = list(row.invoice.payments.all())
        current = [payment for payment in earlier if payment.state in Payment.OPEN]
        if current:
            return current[0]
        is_under_review = any(payment.state == PaymentState.UNDER_REVIEW for payment in earlier)
        if is_under_review or len(earlier) >= site_settings.get("orders.max_payments_per_order"):
            raise ChangeClosed("a payment is under review, or too many were begun")
        until = at + timedelta(minutes=site_settings.get("orders.reservation_minutes"))
        if row.expires_at < until:
            row.expires_at = until
            row.save(update_fields=["expires_at"])
            keep_renewal_back(row, until)
            if row.reservation_id is not None:
                capacity.extend(reservation_id=row.reservation_id, expires_at=until + GRACE)
        account = accounts[0]
        return payments.open_payment(
            invoice=row.invoice, gateway=account.code, is_live=account.is_live, expires_at=row.expires_at, at=at
        )
