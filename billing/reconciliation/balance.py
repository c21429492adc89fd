"""A gateway's balance transactions: fees, payouts and exchange are booked, so that clearing is what it holds for us.

Payments, refunds and disputes post to clearing what our rows say, in the customer's currency. What the gateway booked
for each may be another amount (a fee, another currency) and is posted here as the difference.
"""

import logging
from datetime import datetime, timedelta

from billing import gateway_sync, ledger, payment_sync, unexplained
from billing.gateways.base import ObjectType, account_with_code, driver_with
from billing.gateways.reconciling import BalanceTransaction, BalanceType, Reconciling
from billing.ledger import EntryLine
from billing.models import (
    AccountKind,
    CursorType,
    Dispute,
    EntryKind,
    EventResult,
    JournalEntry,
    Payment,
    Refund,
    RefundState,
    UnexplainedItem,
    UnexplainedType,
)
from billing.reconciliation import cursors
from core import outside, tenancy, work
from core.money import Money

log = logging.getLogger(__name__)
GRACE = timedelta(hours=1)  # the row of a younger one may be written by an event that is on its way
WINDOW = timedelta(days=1)  # booked to its end before the cursor moves
MAX_RECHECKED = 100
OBJECT_TYPES = {BalanceType.REFUND: ObjectType.REFUND, BalanceType.DISPUTE: ObjectType.DISPUTE}
# A refund that failed and a dispute that was won before we knew of it have no row: their money went and came back.
WITHOUT_ROW = {
    BalanceType.REFUND: (EntryKind.REFUND, EntryKind.REFUND_FAILED),
    BalanceType.DISPUTE: (EntryKind.DISPUTE, EntryKind.DISPUTE_WON),
}
RETURNED = {BalanceType.REFUND: AccountKind.REFUNDS, BalanceType.DISPUTE: AccountKind.DISPUTES}


def book_balance_transactions(*, gateway: str, at: datetime) -> int:
    """Book what changed the gateway's balance since the last run; the number of entries written.

    Each is booked once, however often and by however many runs it is met. One that fails stops no other, and is listed
    again by the next run. Raises the errors of `outside`.
    """
    driver = driver_with(gateway, Reconciling)
    since = cursors.read_until(gateway, CursorType.BALANCE)
    if since is None:
        return 0
    since -= 2 * GRACE  # what was too young in the last run is old enough now
    count, is_complete = 0, True
    while since <= at:
        until = since + WINDOW
        listed = {
            reference_of(gateway, each): each for each in driver.list_balance_transactions(since=since, until=until)
        }
        booked = set(JournalEntry.objects.filter(reference__in=list(listed)).values_list("reference", flat=True))
        unbooked = [each for reference, each in listed.items() if reference not in booked]
        for transaction in sorted(unbooked, key=lambda each: (each.created_at, each.reference)):
            try:
                count += _book(gateway, transaction, at)
            except Exception:
                log.exception("balance transaction %s of %s was not booked", transaction.reference, gateway)
                is_complete = False
        if is_complete:
            cursors.move(gateway, CursorType.BALANCE, min(until, at))
        since = until
    items = UnexplainedItem.objects.filter(
        gateway=gateway, type=UnexplainedType.BALANCE_TRANSACTION, resolved_at__isnull=True
    )
    count += work.run_each(
        items.order_by("-created_at")[:MAX_RECHECKED],
        lambda item: _explain_later(gateway, driver, item, at),
        name="explaining",
    )
    return count


def reference_of(gateway: str, transaction: BalanceTransaction) -> str:
    """The reference of the transaction's journal entry."""
    return f"balance:{gateway}:{transaction.reference}"


def _book(gateway: str, transaction: BalanceTransaction, at: datetime) -> bool:
    """Post one transaction; False where there is nothing to post, or where it is too young to be called unexplained."""
    lines, source = explain(gateway, transaction, at)
    kind = entry_kind(transaction, source)
    if lines is None:
        if transaction.created_at > at - GRACE:
            return False
        kind, lines = EntryKind.UNEXPLAINED, _unexplained_lines(gateway, transaction.net)
    if not lines:
        return False
    try:
        with tenancy.as_worker():
            if kind is EntryKind.UNEXPLAINED:
                unexplained.record_unexplained(
                    gateway=gateway, listed=transaction, note="No payment or refund explains it"
                )
            ledger.post_entry(
                kind=kind,
                reference=reference_of(gateway, transaction),
                lines=lines,
                organization=source.organization if source else None,
                source=source,
                at=at,
            )
    except ledger.LedgerConflict:  # another run knew less or more at the same moment: `_explain_later` corrects it
        return False
    return True


def entry_kind(transaction: BalanceTransaction, row: Payment | Refund | Dispute | None) -> EntryKind:
    """What the entry of an explained transaction is called; `row` is what posted to clearing before."""
    if transaction.type is BalanceType.PAYOUT:
        return EntryKind.PAYOUT
    if row is None and transaction.type in WITHOUT_ROW:
        return WITHOUT_ROW[transaction.type][transaction.amount.minor > 0]
    is_exchanged = row is not None and posted_by(row, transaction).currency != transaction.amount.currency
    if is_exchanged and not transaction.fee:
        return EntryKind.EXCHANGE
    return EntryKind.DISPUTE_FEE if transaction.type is BalanceType.DISPUTE else EntryKind.GATEWAY_FEE


def explain(
    gateway: str, transaction: BalanceTransaction, at: datetime
) -> tuple[list[EntryLine] | None, Payment | Refund | Dispute | None]:
    """What takes clearing from what our row posted to what the gateway booked, and that row.

    No lines (None) where nothing of ours accounts for it.
    """
    amount, fee = transaction.amount, transaction.fee
    clearing = ledger.account_of(AccountKind.CLEARING, amount.currency, gateway)
    fees = AccountKind.DISPUTE_FEES if transaction.type is BalanceType.DISPUTE else AccountKind.GATEWAY_FEES
    fee_account = ledger.account_of(fees, amount.currency, gateway)
    lines = list(ledger.transfer(fee_account, clearing, fee)) if fee else []
    if transaction.type is BalanceType.PAYOUT:
        return [*lines, *ledger.transfer(clearing, ledger.account_of(AccountKind.BANK, amount.currency), amount)], None
    if transaction.type is BalanceType.FEE:
        return [*lines, *ledger.transfer(clearing, fee_account, amount)], None
    if transaction.type is BalanceType.OTHER:
        return None, None
    row, is_settled = row_of(gateway, transaction), True
    if row is None:
        is_settled = _sync(gateway, transaction, at)
        row = row_of(gateway, transaction)
    if row is None and not is_settled:
        return None, None
    if row is None:
        target = ledger.account_of(RETURNED[transaction.type], amount.currency)
        return [*lines, *ledger.transfer(clearing, target, amount)], None
    posted = posted_by(row, transaction)
    if posted.currency != amount.currency:
        other = ledger.account_of(AccountKind.CLEARING, posted.currency, gateway)
        lines += ledger.transfer(ledger.account_of(AccountKind.FX, posted.currency), other, posted)
        lines += ledger.transfer(clearing, ledger.account_of(AccountKind.FX, amount.currency), amount)
    elif posted != amount:
        lines += _unexplained_lines(gateway, amount - posted)
        unexplained.record_unexplained(
            gateway=gateway, listed=transaction, note=f"The gateway booked {amount}, and the ledger {posted}"
        )
    return lines, row


def row_of(gateway: str, transaction: BalanceTransaction) -> Payment | Refund | Dispute | None:
    """Our row that has posted to clearing what the transaction is about."""
    source, is_back = transaction.source, transaction.amount.minor > 0
    if not source:
        return None
    if transaction.type is BalanceType.PAYMENT:
        rows = Payment.objects.select_related("organization")
        return rows.filter(gateway=gateway, transaction_id=source).first()
    if transaction.type is BalanceType.REFUND:
        refunds = Refund.objects.select_related("organization")
        if is_back:
            refunds = refunds.filter(state=RefundState.FAILED)
        return refunds.filter(payment__gateway=gateway, transaction_id=source).first()
    if transaction.type is BalanceType.DISPUTE:
        disputes = Dispute.objects.select_related("organization")
        if is_back:
            disputes = disputes.filter(is_won=True)
        return disputes.filter(payment__gateway=gateway, reference=source).first()
    return None


def posted_by(row: Payment | Refund | Dispute, transaction: BalanceTransaction) -> Money:
    """What the row has posted to clearing for the transaction: signed, as the gateway's holding."""
    if isinstance(row, Payment):
        return row.received
    return row.amount if transaction.amount.minor > 0 else -row.amount


def _sync(gateway: str, transaction: BalanceTransaction, at: datetime) -> bool:
    """Whether our rows follow the transaction's source after it was read again, with or without a row of its own."""
    account = account_with_code(gateway)
    try:
        if transaction.type is BalanceType.PAYMENT:
            return payment_sync.payment_of_transaction(account, transaction.source, at) is not None
        result, _note = gateway_sync.SYNC[OBJECT_TYPES[transaction.type]](account, transaction.source, at)
    except outside.OutsideError:
        return False
    return result is EventResult.PROCESSED


def _unexplained_lines(gateway: str, amount: Money) -> list[EntryLine]:
    """Money that the gateway holds for us for an unknown reason."""
    clearing = ledger.account_of(AccountKind.CLEARING, amount.currency, gateway)
    account = ledger.account_of(AccountKind.UNEXPLAINED, amount.currency)
    return list(ledger.transfer(clearing, account, amount)) if amount else []


def _explain_later(gateway: str, driver: Reconciling, item: UnexplainedItem, at: datetime) -> bool:
    """Correct the entry of an unexplained transaction that a row accounts for by now; False while none does."""
    transaction = driver.read_balance_transaction(item.reference)
    reference = reference_of(gateway, transaction)
    if not JournalEntry.objects.filter(reference=reference, kind=EntryKind.UNEXPLAINED).exists():
        return False  # an amount that differs from our row's: staff resolve it
    lines, row = explain(gateway, transaction, at)
    if lines is None:
        return False
    with tenancy.as_worker():
        ledger.post_entry(
            kind=EntryKind.EXPLAINED,
            reference=f"balance_explained:{gateway}:{transaction.reference}",
            lines=[*_unexplained_lines(gateway, -transaction.net), *lines],
            organization=row.organization if row else None,
            source=row,
            at=at,
        )
        unexplained.resolve(item=item, reason=unexplained.FOUND_LATER, actor=gateway, at=at)
    return True
