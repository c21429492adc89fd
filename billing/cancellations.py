"""What customers decide about the renewal of a subscription: cancel it, undo that, renew it automatically or not."""

from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from billing import charging, events, invoicing, payments, subscriptions
from billing.charging import Charger
from billing.models import BillingMode, CancellationReason, Invoice, InvoiceItem, Payment, PaymentState, Subscription
from billing.runs import batches, meter, renew
from catalog.models import Term
from core import audit, tenancy

MAX_VOID_AT_ONCE = 5  # invoices of an organization within an hour


class NotPossible(ValueError):
    """The subscription is over, or as it is it cannot be changed so."""


class NothingToCharge(NotPossible):
    """Neither the wallet nor a saved method would pay the next period, so it would not renew automatically."""


def cancel(
    *, subscription: Subscription, reason: CancellationReason, comment: str = "", actor: object, at: datetime
) -> None:
    """Let the subscription end with the period that is paid, and have its gateway charge no more.

    Nobody pays for its later periods any more: what is open for them is closed, and invoices over them are void; what
    else is on one is invoiced again. One that is billed by the hour ends at once, and the
    hours that it was used are charged before. Calling it twice is harmless until it has ended. Raises NotPossible.
    """
    with tenancy.as_worker(subscription):
        if subscription.term == Term.HOURLY:  # its hours are on a draft, and no later time is billed
            meter.charge_rest(subscription_ids=[subscription.pk], at=at)
        else:
            withdraw_later_invoices(subscription, reason="subscription canceled", actor=actor, at=at)
        row = subscriptions.lock_subscription(subscription.pk)
        if row.status not in subscriptions.GOING_ON:
            raise NotPossible(f"a subscription that is {row.status} is not canceled")
        if row.cancels_at_period_end:
            return
        row.cancels_at_period_end, row.canceled_at = True, at
        row.cancellation_reason, row.cancellation_comment = reason, comment[:500]
        row.save(update_fields=["cancels_at_period_end", "canceled_at", "cancellation_reason", "cancellation_comment"])
        subscriptions.request_cancellation(subscription=row, at=at)
        audit.record(
            action="subscription.cancel",
            entity=row,
            actor=actor,
            new={"reason": str(reason), "comment": comment},
            at=at,
        )
        events.subscriptions_canceled.send(Subscription, subscription_ids=[row.pk], at=at)
        if row.term == Term.HOURLY:
            subscriptions.end_subscription(subscription=row, reason="canceled", at=at)
    invoice_others_again(subscription=subscription, actor=actor, at=at)


def withdraw_later_invoices(subscription: Subscription, *, reason: str, actor: object, at: datetime) -> list[Invoice]:
    """Close what is open for later periods of a subscription that will not have them; their invoices, locked.

    The caller then locks the subscription.
    """
    invoices = lock_later_invoices(subscription)
    for invoice in invoices:
        invoicing.expire_open_payments(invoice=invoice, at=at)
        if not others_on(invoice, subscription).exists():
            # NotVoidable: money for it is on its way, and what it pays is delivered. False: what is open is closed
            # first, and then `renew` withdraws it.
            with suppress(invoicing.NotVoidable):
                invoicing.void_invoice(invoice=invoice, reason=reason, actor=actor, at=at)
    return invoices


def invoice_others_again(*, subscription: Subscription, actor: object, at: datetime) -> None:
    """What others have on an invoice for a time that this subscription will not have, as `renew` would within the hour.

    Nobody could pay it until then. Where it can be paid in a session, that is closed first, and `renew` does it; as
    where several were void within the hour, so that canceling again and again makes no invoices without end. The
    caller's transaction has committed: other invoices may be locked.
    """
    with tenancy.as_worker(subscription):
        is_shared = any(payments.is_withdrawn(invoice) for invoice in later_invoices(subscription))
        void = Invoice.objects.filter(organization=subscription.organization_id, voided_at__gt=at - timedelta(hours=1))
        is_one_too_many = void.count() >= MAX_VOID_AT_ONCE
    if is_shared and not is_one_too_many:
        with tenancy.acts_on(subscription), tenancy.as_worker():
            batches.begin()
            renew.perform(batches.only(subscription.organization_id), at)
            counts = batches.counted()
            audit.record(action="billing.renew", entity=subscription, actor=actor, metadata=counts, at=at)


def lock_later_invoices(subscription: Subscription) -> list[Invoice]:
    """Unpaid invoices that bill later periods of the subscription, under their locks: before the subscription's."""
    return invoicing.lock_invoices(list(later_invoices(subscription).values_list("pk", flat=True)))


def later_invoices(subscription: Subscription) -> "QuerySet[Invoice]":
    """Unpaid invoices that bill later periods of the subscription."""
    is_later = Q(period_start__gte=F("subscription__current_period_end"))
    later = InvoiceItem.objects.filter(is_later, subscription=subscription)
    unpaid = Invoice.objects.filter(organization=subscription.organization_id, state__in=invoicing.VOIDABLE)
    return unpaid.filter(pk__in=later.values("invoice"))


def others_on(invoice: Invoice, subscription: Subscription) -> "QuerySet[InvoiceItem]":
    """What the invoice bills that somebody still wants, when the subscription is canceled or paused."""
    is_pausing = Q(subscription__pauses_until__isnull=False)
    stopped = Q(subscription=subscription) | Q(subscription__cancels_at_period_end=True) | is_pausing
    unwanted = stopped & Q(period_start__gte=F("subscription__current_period_end"))
    return invoice.items.exclude(pk__in=invoice.items.filter(unwanted).values("pk"))


def undo(*, subscription: Subscription, actor: object, at: datetime) -> None:
    """Let a subscription that its customer canceled go on after its period. Calling it twice is harmless.

    One that a gateway renewed is renewed by us from now on, because the gateway cannot begin again: automatically where
    a saved method can be charged. Raises NotPossible, also for what ends because its money went back.
    """
    with tenancy.as_worker(subscription):
        can_be_charged = is_chargeable(subscription, at=at)  # it decrypts gateways' keys: before any lock
        row = subscriptions.lock_subscription(subscription.pk)
        if not row.cancels_at_period_end:
            return
        is_over = row.current_period_end is None or row.current_period_end <= at
        if not row.cancellation_reason or row.status not in subscriptions.GOING_ON or is_over:
            raise NotPossible("what its customer did not cancel, or is over, is not renewed again")
        old = {"reason": row.cancellation_reason, "billing_mode": row.billing_mode}
        subscriptions.undo_cancellation(subscription=row)
        if row.billing_mode == BillingMode.GATEWAY:
            row.billing_mode = BillingMode.SELF
            row.is_auto_renewed = can_be_charged
            row.save(update_fields=["billing_mode", "is_auto_renewed"])
        audit.record(
            action="subscription.undo_cancellation",
            entity=row,
            actor=actor,
            old=old,
            new={"reason": "", "billing_mode": row.billing_mode},
            at=at,
        )


def set_auto_renewal(*, subscription: Subscription, is_auto_renewed: bool, actor: object, at: datetime) -> None:
    """Charge each next period by itself, or not. Calling it twice is harmless.

    Switched off, what we were about to charge by ourselves is not charged. Raises NothingToCharge where it would be a
    promise that nothing pays, and NotPossible where a gateway renews: that is canceled instead.
    """
    with tenancy.as_worker(subscription):
        is_promise_kept = not is_auto_renewed or is_chargeable(subscription, at=at)  # before any lock, as in `undo`
        invoices = lock_later_invoices(subscription)
        row = subscriptions.lock_subscription(subscription.pk)
        if row.status not in subscriptions.GOING_ON or row.cancels_at_period_end:
            raise NotPossible("it ends with its period")
        if row.billing_mode != BillingMode.SELF:
            raise NotPossible("its gateway renews it")
        if row.is_auto_renewed == is_auto_renewed:
            return
        if not is_promise_kept:
            raise NothingToCharge("neither the wallet nor a saved method pays the next period")
        row.is_auto_renewed = is_auto_renewed
        row.save(update_fields=["is_auto_renewed"])
        waiting = Payment.objects.filter(invoice__in=invoices, is_automatic=True, state=PaymentState.PENDING)
        waiting.update(poll_at=at)  # those that are unwanted by now are closed
        audit.record(
            action="subscription.set_auto_renewal",
            entity=row,
            actor=actor,
            old={"is_auto_renewed": not is_auto_renewed},
            new={"is_auto_renewed": is_auto_renewed},
            at=at,
        )


def is_chargeable(subscription: Subscription, *, at: datetime) -> bool:
    """Whether something could be charged for the next period, if it renewed automatically."""
    row = charging.with_charging(Subscription.objects.filter(pk=subscription.pk)).get()
    methods = charging.usable_methods({row.organization_id}, {row.currency})
    method = methods.get((row.organization_id, row.currency))
    rates = charging.tax_rates({row.organization_id}, at)
    return charging.charging_of_renewed(row, method, rates.get(row.organization_id)).charger != Charger.NOTHING
