"""Making a payment agree with the charge of its saved method: after the answer, after an event, and by polling.

An attempt is closed only when the gateway takes no money by it any more. So of an invoice's attempts one can succeed.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from django.db.models import Max, Q, QuerySet

from billing import customers, events, invoicing, payments
from billing.gateways.base import driver_of, driver_with
from billing.gateways.saved import ChargeRequest, ChargeStatus, GatewayCharge, SavedCharges
from billing.models import AutoTopUp, Invoice, InvoiceState, Payment, PaymentState, Subscription
from billing.models.declines import AUTHENTICATION_REQUIRED, METHOD_REMOVED, NOT_CONFIRMED, NOT_WANTED
from core import site_settings, tenancy
from core.outside import Rejected

LOST_ANSWER_WAIT = timedelta(minutes=1)  # longer than a request can still be under way whose answer was lost
ACTION_POLL = timedelta(hours=6)  # while the owner has yet to confirm, in case no event comes
MIN_RETRY_WAIT = timedelta(days=1)
CHARGEABLE = frozenset({InvoiceState.DRAFT, InvoiceState.OPEN, InvoiceState.OVERDUE})
OVER = frozenset({ChargeStatus.DECLINED, ChargeStatus.CANCELED})


def request_of(payment: Payment) -> ChargeRequest:
    """The request for a payment's charge: all of it from stored rows, so a repeat is identical.

    Calls the gateway where the organization is no customer there yet.
    """
    if payment.payment_method is None:
        raise ValueError(f"payment {payment.pk} is made in a checkout session")
    driver, organization = driver_of(payment.gateway), payment.organization
    return ChargeRequest(
        idempotency_key=payment.idempotency_key,
        payment_id=payment.pk,
        organization_id=organization.pk,
        customer=customers.ensure_customer(driver, organization=organization, gateway=payment.gateway),
        method=payment.payment_method.reference,
        amount=payment.amount,
        description=f"Invoice {payment.invoice_id}" if payment.invoice_id else "Wallet top-up",
    )


def read_payment(payment_id: UUID) -> Payment:
    """The payment with what its charge names."""
    return Payment.objects.select_related("organization", "invoice", "payment_method").get(pk=payment_id)


def find_charge(payment: Payment) -> GatewayCharge | None:
    """What the gateway has of the payment's charge, also where its answer was lost; None where it has nothing."""
    driver = driver_with(payment.gateway, SavedCharges)
    if payment.charge_id is not None:
        return driver.read_charge(payment.charge_id)
    return None if payment.charge_requested_at is None else driver.find_charge(request_of(payment))


def sync_charge(*, payment_id: UUID, at: datetime) -> None:
    """Read the charge of an open payment, and plan the next poll."""
    payment = read_payment(payment_id)
    if payment.state not in Payment.OPEN:
        return
    charge = find_charge(payment)
    if charge is None:
        if is_unwanted(payment, at) and not was_asked_now(payment, at):
            withdraw(payment_id=payment_id, at=at)
        else:
            with tenancy.as_worker():  # its task asks, or will
                Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING).update(poll_at=at + LOST_ANSWER_WAIT)
        return
    apply_charge(payment_id=payment_id, charge=charge, at=at)


def is_unwanted(payment: Payment, at: datetime) -> bool:
    """Whether nothing is to be charged by it any more: it or its method is gone, or other money pays the invoice.

    Also where we charge by ourselves what the customer by now pays by hand.
    """
    invoice = payment.invoice
    if invoice is not None and (invoice.state not in CHARGEABLE or invoicing.has_money_under_way(invoice)):
        return True
    return not payment.is_open(at) or is_method_gone(payment) or is_unasked(payment)


def is_unasked(payment: Payment) -> bool:
    """Whether we charge by ourselves for what the customer pays by hand, or a top-up that was switched off."""
    if not payment.is_automatic:
        return False
    return not auto_top_up_of(payment).exists() if payment.invoice is None else is_paid_by_hand(payment.invoice)


def auto_top_up_of(payment: Payment) -> "QuerySet[AutoTopUp]":
    """The automatic top-up that a payment without an invoice is charged for; none where it is switched off."""
    return AutoTopUp.objects.filter(organization=payment.organization_id, currency=payment.currency, is_active=True)


def is_paid_by_hand(invoice: Invoice) -> bool:
    """Whether something that the invoice is for does not renew automatically, or is canceled."""
    by_hand = Q(is_auto_renewed=False) | Q(cancels_at_period_end=True) | Q(pauses_until__isnull=False)
    return Subscription.objects.filter(by_hand, invoice_items__invoice=invoice).exists()


def is_method_gone(payment: Payment) -> bool:
    """Whether the method that it was to charge was removed."""
    return payment.payment_method is None or payment.payment_method.detached_at is not None


def was_asked_now(payment: Payment, at: datetime) -> bool:
    """Whether a request may still be on its way to the gateway."""
    return payment.charge_requested_at is not None and at - payment.charge_requested_at < LOST_ANSWER_WAIT


def apply_charge(*, payment_id: UUID, charge: GatewayCharge, at: datetime) -> None:
    """Make the payment agree with its charge, and cancel one of no use; any number of times, in any order."""
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        if payment.charge_id is None and payment.state in Payment.OPEN:
            payment.charge_id = charge.reference
            payment.save(update_fields=["charge_id"])
        has_no_use = charge.status is ChargeStatus.REQUIRES_ACTION and is_unwanted(payment, at)
    if has_no_use or charge.status is ChargeStatus.DECLINED:  # it could still take money, beside the next attempt
        before, charge = charge, driver_with(payment.gateway, SavedCharges).cancel_charge(charge.reference)
        if before.status is ChargeStatus.DECLINED and charge.status is ChargeStatus.CANCELED:
            charge = before
    if charge.payment is not None:
        payments.settle(payment_id=payment_id, gateway_payment=charge.payment, at=at)
    elif charge.status is ChargeStatus.PROCESSING:
        payments.mark_processing(payment_id=payment_id, at=at)
        with tenancy.as_worker():
            Payment.objects.filter(pk=payment_id, state=PaymentState.PROCESSING).update(
                poll_at=at + payments.PROCESSING_POLL
            )
    elif charge.status is ChargeStatus.REQUIRES_ACTION:
        ask_owner(payment_id=payment_id, at=at)
    elif charge.status in OVER:
        record_decline(payment_id=payment_id, charge=charge, at=at)
    else:
        raise Rejected(f"charge {charge.reference} is {charge.status} without a payment")


def ask_owner(*, payment_id: UUID, at: datetime) -> None:
    """Tell the owner of the method, once, that their bank wants them to confirm. The payment stays open for that."""
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        if payment.state != PaymentState.PENDING or payment.expires_at is None:
            return
        is_new = not payment.failure_code
        payment.failure_code, payment.poll_at = AUTHENTICATION_REQUIRED, min(payment.expires_at, at + ACTION_POLL)
        payment.save(update_fields=["failure_code", "poll_at"])
        if is_new:
            events.charges_need_owner.send(Payment, payment_ids=[payment.pk], at=at)


def record_decline(*, payment_id: UUID, charge: GatewayCharge, at: datetime) -> None:
    """Close the attempt with its reason, plan when the method may be charged again, and tell the customer.

    One that is canceled was not confirmed in time, or is not wanted: the invoice was paid meanwhile.
    """
    payment = read_payment(payment_id)
    if charge.status is ChargeStatus.CANCELED and is_unasked(payment):
        end_attempt(payment_id=payment_id, reason="it is paid by hand", at=at)
        return
    code = charge.failure_code or "declined"
    if charge.status is ChargeStatus.CANCELED:
        is_late = payment.expires_at is not None and payment.expires_at <= at
        code = NOT_CONFIRMED if is_late else charge.failure_code or NOT_WANTED
        code = METHOD_REMOVED if is_method_gone(payment) else code
    fail(payment_id=payment_id, code=code, text=charge.failure, is_final=charge.is_method_refused, at=at)


def fail(*, payment_id: UUID, code: str, text: str, is_final: bool, at: datetime) -> None:
    """Close an attempt that the gateway takes no money by. `is_final`: the method is not charged again for it."""
    with tenancy.as_worker():
        if not payments.fail(payment_id=payment_id, reason=text or code, at=at):
            return
        payment = Payment.objects.select_related("invoice").get(pk=payment_id)
        payment.failure_code = code
        payment.save(update_fields=["failure_code"])  # by which the schedule counts it, or not
        payment.retry_at = next_try(payment, at) if not is_final and is_charged_again(payment) else None
        payment.save(update_fields=["retry_at"])
        if payment.retry_at is None and payment.is_automatic_top_up:
            auto_top_up_of(payment).update(is_active=False, stopped_at=at)
        if payment.invoice is None or payment.invoice.state in CHARGEABLE:
            events.charges_declined.send(Payment, payment_ids=[payment.pk], at=at)


def is_charged_again(payment: Payment) -> bool:
    """Whether the schedule goes on after a refusal: not for an order or a top-up, whose customer chose the method."""
    return payment.is_automatic or (payment.invoice is not None and payment.invoice.issued_at is not None)


def withdraw(*, payment_id: UUID, at: datetime) -> None:
    """Close an attempt of which nothing reached the gateway; it counts for no schedule."""
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        if payment.charge_id is not None or was_asked_now(payment, at):  # its task was quicker
            return
        code = METHOD_REMOVED if is_method_gone(payment) else ""
        if payments.fail(payment_id=payment_id, reason="never charged", at=at):
            Payment.objects.filter(pk=payment_id).update(failure_code=code, retry_at=at)


def close_charge(*, payment_id: UUID, at: datetime) -> None:
    """Take no money by an open charge any more, because the customer pays otherwise. One under way stays as it is."""
    payment = read_payment(payment_id)
    charge = find_charge(payment) if payment.state in Payment.OPEN else None
    if charge is None:
        withdraw(payment_id=payment_id, at=at)
        return
    charge = driver_with(payment.gateway, SavedCharges).cancel_charge(charge.reference)
    if charge.status is not ChargeStatus.CANCELED:  # paid, or under way at a bank
        apply_charge(payment_id=payment_id, charge=charge, at=at)
        return
    end_attempt(payment_id=payment_id, reason="the customer pays otherwise", at=at)


def end_attempt(*, payment_id: UUID, reason: str, at: datetime) -> None:
    """Close an attempt that was canceled at the gateway because nobody wants it; nobody is told."""
    with tenancy.as_worker():
        if payments.fail(payment_id=payment_id, reason=reason, at=at):
            Payment.objects.filter(pk=payment_id).update(failure_code=NOT_WANTED, retry_at=at + MIN_RETRY_WAIT)


def series_of(payment: Payment) -> "QuerySet[Payment]":
    """The attempts that the schedule counts: of its method for its invoice, or to top up since the last success.

    The payment itself is one of them, also where the top-up was saved anew while it was open.
    """
    rows = Payment.objects.filter(invoice=payment.invoice_id, payment_method=payment.payment_method_id)
    if payment.invoice_id is not None:
        return rows
    rows = rows.filter(organization=payment.organization_id, currency=payment.currency, is_automatic=True)
    changed_at = auto_top_up_of(payment).values_list("changed_at", flat=True).first()
    made = rows.filter(state__in=Payment.RECEIVED).aggregate(last=Max("created_at"))["last"]
    since = max((at for at in (changed_at, made) if at), default=payment.created_at)
    return rows.filter(Q(created_at__gte=since) | Q(pk=payment.pk))


def next_try(payment: Payment, at: datetime) -> datetime | None:
    """When the method may be charged again for the invoice, by the operator's schedule; None when that is over.

    The schedule begins with the first charge. One that we stopped ourselves is no refusal.
    """
    charged = series_of(payment).filter(charge_id__isnull=False).exclude(state__in=Payment.RECEIVED)
    done = charged.filter(state=PaymentState.FAILED).exclude(failure_code=NOT_WANTED).count()
    days = retry_days()
    if done > len(days):
        return None
    if not done:
        return at + MIN_RETRY_WAIT
    return max(charged.earliest("created_at").created_at + timedelta(days=days[done - 1]), at + MIN_RETRY_WAIT)


def retry_days() -> list[int]:
    """After how many days from the first charge a refused method is charged again."""
    return parse_days(site_settings.get("billing.charge_retry_days"))


def parse_days(text: str) -> list[int]:
    """The days of a list such as "1, 3, 7". ValueError unless they are whole, positive and rising."""
    days = [int(part) for part in text.replace(" ", "").split(",")] if text.strip() else []
    if any(day < 1 for day in days) or any(later <= earlier for earlier, later in pairwise(days)):
        raise ValueError(f"{text} does not rise")
    return days
