"""Charging an organization's saved method, for whatever is to be paid: asked for here, and carried out by a worker.

An attempt is a payment that names the method; an invoice has one open payment at most. What becomes of the charge is
in `billing.charge_sync`. What was charged although the invoice had been paid meanwhile is credit.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from billing import charge_sync, credit, gateway_accounts, invoicing, ledger, payment_methods, payments, subscriptions
from billing.gateways.abilities import MinAmount
from billing.gateways.base import NOT_AUTHORIZED, USED_KEYS, account_with_code, driver_for, driver_with
from billing.gateways.saved import GatewayCharge, SavedCharges
from billing.models import ChargeTask, Invoice, Payment, PaymentMethod, PaymentState
from core import site_settings, tenancy, work
from core.ids import uuid7
from core.money import Money
from core.outside import Rejected, Unavailable, Unknown

KEY_LIFE = timedelta(hours=23)  # a gateway may forget a key after a day


class ChargeDecision(StrEnum):
    """What became of the wish to charge an invoice now."""

    REQUESTED = "requested"
    UNDER_WAY = "under_way"  # an attempt is open, a bank processes a payment, or staff check one
    PAID_BY_CREDIT = "paid_by_credit"
    NOT_OWED = "not_owed"  # paid, void or soon void, free, or renewed by the gateway itself
    BY_HAND = "by_hand"  # it is for what does not renew automatically: nothing is taken unasked, credit neither
    NO_METHOD = "no_method"  # none is saved, or its gateway cannot charge it now
    BEING_PAID = "being_paid"  # the customer has a checkout session open
    LATER = "later"  # the schedule has not come to its next try
    REFUSED = "refused"  # for good, or to the end of the schedule: another method is needed
    TOO_LITTLE = "too_little"  # less than the gateway takes


def request_charge(*, invoice: Invoice, at: datetime) -> ChargeDecision:
    """Have what credit does not pay of an invoice charged to the organization's default method, by a worker.

    Any number of times, by any number of callers at once: one attempt is open, and a refused method is charged again
    when the schedule says so, or at once where another one became the default.
    """
    with tenancy.as_worker(invoice):
        method = payment_methods.default_method(invoice.organization)
        least = least_charge(method, invoice.currency)
    with tenancy.as_worker(invoice):
        row = invoicing.lock_invoice(invoice.pk)
        subscriptions.lock_subscriptions_of([row.pk])  # so that nobody switches automatic renewal off meanwhile
        if row.state in charge_sync.CHARGEABLE and charge_sync.is_paid_by_hand(row):
            return ChargeDecision.BY_HAND
        if settled := settled_otherwise(row, at):
            return settled
        if method is None or least is None:
            return ChargeDecision.NO_METHOD
        return refusal_of(row, method, at) or open_attempt(row, method, least, is_automatic=True, at=at)


def charge_method(*, invoice: Invoice, method: PaymentMethod, at: datetime) -> ChargeDecision:
    """Have an invoice charged to the method that its customer chose for it, whatever the schedule says."""
    with tenancy.as_worker(invoice, method):
        least = least_charge(method, invoice.currency)
    with tenancy.as_worker(invoice, method):
        row = invoicing.lock_invoice(invoice.pk)
        if settled := settled_otherwise(row, at):
            return settled
        if least is None or method.reload().detached_at is not None:
            return ChargeDecision.NO_METHOD
        return open_attempt(row, method, least, is_automatic=False, at=at)


def charge_payment(*, payment: Payment, method: PaymentMethod, at: datetime) -> ChargeDecision:
    """Have an open payment, such as of an order or a top-up, charged to the method that its customer chose for it.

    Once, however often it is called. It ends with the time to pay, and is not charged again by itself.
    """
    with tenancy.as_worker(payment, method):
        least = least_charge(method, payment.currency)
    with tenancy.as_worker(payment, method):
        row = payments.lock_payment(payment.pk)
        invoice = row.invoice
        is_owed = invoice is None or (invoice.state in charge_sync.CHARGEABLE and not is_gateway_billed(invoice))
        if row.payment_method_id is not None or (invoice is not None and invoicing.has_money_under_way(invoice)):
            return ChargeDecision.UNDER_WAY
        if not row.is_open(at) or not is_owed:
            return ChargeDecision.NOT_OWED
        if row.session_requested_at is not None:
            return ChargeDecision.BEING_PAID
        if least is None or method.reload().detached_at is not None:
            return ChargeDecision.NO_METHOD
        if row.amount < least:
            return ChargeDecision.TOO_LITTLE
        row.payment_method, row.gateway, row.is_live, row.channel = method, method.gateway, method.is_live, ""
        row.save(update_fields=["payment_method", "gateway", "is_live", "channel"])
        ChargeTask.objects.create(payment=row, run_at=at)
        work.wake_worker(ChargeTask)
    return ChargeDecision.REQUESTED


def methods_for(payment: Payment) -> list[PaymentMethod]:
    """The saved methods that can be charged for an open payment now, the default first."""
    with tenancy.as_worker(payment):
        if payment.invoice is not None and is_gateway_billed(payment.invoice):
            return []
        methods = payment_methods.methods_of(payment.organization)
        by_gateway = {method.gateway: method for method in methods}
        least = {gateway: least_charge(method, payment.currency) for gateway, method in by_gateway.items()}
    return [method for method in methods if (limit := least[method.gateway]) and limit <= payment.amount]


def is_gateway_billed(invoice: Invoice) -> bool:
    """Whether the gateway itself renews something that the invoice is for."""
    return gateway_accounts.gateway_billed(invoice.pk).exists()


def settled_otherwise(row: Invoice, at: datetime) -> ChargeDecision | None:
    """Why no charge is needed for a locked invoice; None where one is. Credit that suffices pays it here."""
    if row.state not in charge_sync.CHARGEABLE or not row.total or is_gateway_billed(row):
        return ChargeDecision.NOT_OWED
    if payments.is_withdrawn(row):
        return ChargeDecision.NOT_OWED
    if invoicing.has_money_under_way(row):
        return ChargeDecision.UNDER_WAY
    current = row.payments.filter(state=PaymentState.PENDING).first()
    if current is not None:
        return ChargeDecision.UNDER_WAY if current.payment_method_id else ChargeDecision.BEING_PAID
    subscriptions.lock_subscriptions_of([row.pk])
    if ledger.lock_wallet(row.organization, row.currency).spendable < row.total:
        return None
    invoicing.pay_from_wallet(invoice=row, at=at)
    return ChargeDecision.PAID_BY_CREDIT


def open_attempt(
    row: Invoice, method: PaymentMethod, least: Money, *, is_automatic: bool, at: datetime
) -> ChargeDecision:
    """Reserve the credit, and write the attempt and its task. Invoice, subscriptions and wallet are locked."""
    if row.total < least:
        return ChargeDecision.TOO_LITTLE
    wallet = ledger.lock_wallet(row.organization, row.currency)
    used = credit.usable_credit(row.total, balance=wallet.spendable, least=least, is_auto_renewed=False)
    payment = open_charge(
        organization_id=row.organization_id,
        invoice=row,
        method=method,
        amount=row.total - used,
        used_credit=used,
        is_automatic=is_automatic,
        at=at,
    )
    if used:
        ledger.reserve_credit(payment, wallet, at=at)
    return ChargeDecision.REQUESTED


def least_charge(method: PaymentMethod | None, currency: str) -> Money | None:
    """The least that the method's gateway charges in the currency; None where it charges nothing now."""
    if method is None:
        return None
    account = account_with_code(method.gateway)
    if not account.is_active or not account.takes(currency) or gateway_accounts.problem_of(account):
        return None
    driver = driver_for(account)
    if not isinstance(driver, SavedCharges):
        return None
    return driver.min_amount(currency) if isinstance(driver, MinAmount) else Money(1, currency)


def refusal_of(invoice: Invoice, method: PaymentMethod, at: datetime) -> ChargeDecision | None:
    """Why the method is not charged for the invoice now, by how its last attempt ended; None where it is."""
    last = invoice.payments.filter(payment_method=method).order_by("-created_at").first()
    if last is None:
        return None
    if last.retry_at is None:
        return ChargeDecision.REFUSED
    return ChargeDecision.LATER if last.retry_at > at else None


def open_charge(
    *,
    organization_id: UUID,
    method: PaymentMethod,
    amount: Money,
    is_automatic: bool,
    invoice: Invoice | None = None,
    used_credit: Money | None = None,
    at: datetime,
) -> Payment:
    """The attempt's row, whose key is stored before the gateway is called, and its task. No invoice: it is a top-up."""
    payment_id = uuid7()
    days = site_settings.get("billing.charge_confirmation_days")
    confirm_until = (at + timedelta(days=days)).replace(microsecond=0)
    payment = Payment.objects.create(
        id=payment_id,
        organization_id=organization_id,
        invoice=invoice,
        gateway=method.gateway,
        is_live=method.is_live,
        payment_method=method,
        is_automatic=is_automatic,
        amount_minor=amount.minor,
        credit_minor=used_credit.minor if used_credit else 0,
        currency=amount.currency,
        idempotency_key=f"charge-{payment_id}",
        expires_at=confirm_until,
        poll_at=confirm_until,
        created_at=at,
    )
    ChargeTask.objects.create(payment=payment, run_at=at)
    work.wake_worker(ChargeTask)
    return payment


def perform(task: ChargeTask, *, at: datetime) -> work.Reschedule | None:
    """Charge the method once, however often this is called, and store the answer."""
    payment = charge_sync.read_payment(task.payment_id)
    if payment.state not in Payment.OPEN:
        return None
    charge = charge_sync.find_charge(payment)  # an earlier call may have made it although its answer was lost
    if charge is None:
        if charge_sync.is_unwanted(payment, at):
            if charge_sync.was_asked_now(payment, at):
                return work.Reschedule(after=charge_sync.LOST_ANSWER_WAIT)
            charge_sync.withdraw(payment_id=payment.pk, at=at)
            return None
        try:
            charge = ask(payment.pk, at)
        except Rejected as error:
            if error.status in NOT_AUTHORIZED:  # our key is wrong, which says nothing about the card
                raise
            code = error.code or "rejected"
            charge_sync.fail(payment_id=payment.pk, code=code[:64], text=str(error), is_final=True, at=at)
            return None
    if charge is None:  # paid or withdrawn in this moment: the next run closes it
        return work.Reschedule(after=charge_sync.LOST_ANSWER_WAIT)
    charge_sync.apply_charge(payment_id=payment.pk, charge=charge, at=at)
    return None


def ask(payment_id: UUID, at: datetime) -> GatewayCharge | None:
    """Ask the gateway to charge, under the stored key; None where that is not wanted any more.

    A used-up key is replaced once it is certain that it made no charge.
    """
    with tenancy.as_worker():
        locked = payments.lock_payment(payment_id)
        if charge_sync.is_unwanted(locked, at):
            return None
        if locked.charge_requested_at is not None and at - locked.charge_requested_at > KEY_LIFE:
            renew_key(locked)  # what it asked for was looked for, and is not there
        locked.charge_requested_at = at
        locked.save(update_fields=["charge_requested_at"])
    driver, request = driver_with(locked.gateway, SavedCharges), charge_sync.request_of(locked)
    try:
        return driver.charge(request)
    except (Unknown, Rejected) as error:
        if error.code not in USED_KEYS:
            raise
        found = driver.find_charge(request)
        if found is None:
            with tenancy.as_worker():
                renew_key(payments.lock_payment(payment_id))
            raise Unavailable("the charge is requested again under a new key") from error
        return found


def renew_key(payment: Payment) -> None:
    """Another key: the old one made no charge and never will. The caller has locked the payment."""
    payment.idempotency_key, payment.charge_requested_at = f"charge-{payment.pk}-{uuid7().hex[-8:]}", None
    payment.save(update_fields=["idempotency_key", "charge_requested_at"])


def confirm_charge(*, payment: Payment, return_url: str, at: datetime) -> str:
    """Where the method's owner confirms the charge at their bank; empty where nothing waits for that any more.

    Also days later, and any number of times. Raises the errors of `outside`.
    """
    with tenancy.as_worker(payment):
        payment = charge_sync.read_payment(payment.pk)
        if not payment.waits_for_owner or charge_sync.is_unwanted(payment, at):
            return ""
        if payment.charge_id is None or payment.payment_method is None:
            return ""
        driver = driver_with(payment.gateway, SavedCharges)
        Payment.objects.filter(pk=payment.pk, state=PaymentState.PENDING).update(poll_at=at + payments.FIRST_POLL)
    with tenancy.acts_on(payment):
        method = payment.payment_method.reference
        charge = driver.confirm_charge(payment.charge_id, method=method, return_url=return_url)
        if not charge.action_url:
            charge_sync.apply_charge(payment_id=payment.pk, charge=charge, at=at)
    return charge.action_url
