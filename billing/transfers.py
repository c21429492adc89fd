"""Bank transfers: matching statement lines to what customers were asked to pay, and booking what arrived.

A line pays one transfer at most, and is booked in the transaction that settles its payment.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, Value
from django.db.models.functions import StrIndex
from django.utils.translation import gettext as _

from billing import payment_sync
from billing.gateways.transfer.driver import payment_of_line
from billing.models import BankTransfer, GatewayAccount, LineState, Payment, StatementLine
from billing.statements import ParsedLine
from core import audit, tenancy
from core.money import Money

NOT_IN_REFERENCES = re.compile(r"[^0-9A-Z]")


class NotBookable(ValueError):
    """The line was decided already, or names no transfer; the text tells staff why."""


@dataclass(frozen=True)
class ImportResult:
    """How many lines of a statement were booked, wait for staff, and were here before."""

    booked: int
    review: int
    known: int


def import_statement(
    *, account: GatewayAccount, lines: Sequence[ParsedLine], actor: object, at: datetime
) -> ImportResult:
    """Store the lines, each once, and book those that pay exactly one open transfer. The same again changes nothing.

    A line that may be another transfer like one of an earlier statement waits for staff.
    """
    booked = review = 0
    statement = hashlib.sha256("".join(parsed.fingerprint() for parsed in lines).encode()).hexdigest()
    first_day = min((parsed.booked_on for parsed in lines), default=None)
    for parsed in lines:
        with tenancy.as_worker():
            earlier = equal_lines(account, parsed, statement) if parsed.booked_on == first_day else 0
            line, is_new = StatementLine.objects.get_or_create(
                account=account,
                fingerprint=parsed.fingerprint(earlier),
                defaults={
                    "statement": statement,
                    "booked_on": parsed.booked_on,
                    "amount_minor": parsed.amount.minor,
                    "currency": parsed.amount.currency,
                    "payer": parsed.payer,
                    "text": parsed.text,
                },
            )
            if not is_new:
                continue
            transfer, note = match(line)
            if earlier:
                transfer, note = None, _("An earlier statement ends with the same line: look whether it arrived twice.")
            if transfer is None:
                StatementLine.objects.filter(pk=line.pk).update(note=note[:255])
                review += 1
            else:
                book_line(line=line, transfer=transfer, actor=actor, at=at)
                booked += 1
    return ImportResult(booked, review, len(lines) - booked - review)


def equal_lines(account: GatewayAccount, parsed: ParsedLine, statement: str) -> int:
    """How many lines of earlier statements are equal to one of this statement's first day, and may be other money.

    Two statements may each have a part of one day only where the earlier ends with the day that the later begins with.
    Else one of them has the whole day, and they have the line in common: none.
    """
    of_account = StatementLine.objects.filter(account=account)
    equal = of_account.exclude(statement__in=["", statement]).filter(
        booked_on=parsed.booked_on,
        amount_minor=parsed.amount.minor,
        currency=parsed.amount.currency,
        text=parsed.text,
        payer=parsed.payer,
    )
    goes_on = of_account.filter(statement__in=equal.values("statement"), booked_on__gt=parsed.booked_on)
    return 0 if goes_on.exists() else equal.count()


def match(line: StatementLine) -> tuple[BankTransfer | None, str]:
    """The transfer that the line pays; without one, why staff must look."""
    text = normalized(line.text)
    transfers = BankTransfer.objects.filter(payment__gateway=line.account.code).select_related("payment")
    named = list(transfers.alias(place=StrIndex(Value(text), F("reference"))).filter(place__gt=0))
    if not named:
        return None, _("It names no reference of ours.")
    if len(named) > 1:
        names = ", ".join(sorted(transfer.reference for transfer in named))
        return None, _("It names several payments: %(references)s.") % {"references": names}
    (transfer,) = named
    payment = transfer.payment
    if payment.state in Payment.RECEIVED:
        return None, _("%(reference)s is paid already.") % {"reference": transfer.reference}
    if line.amount != payment.amount:
        amounts = {"reference": transfer.reference, "asked": payment.amount, "arrived": line.amount}
        return None, _("%(reference)s asks for %(asked)s, and %(arrived)s arrived.") % amounts
    return transfer, ""


def book_line(*, line: StatementLine, transfer: BankTransfer, actor: object, at: datetime) -> Payment:
    """Book the line's money as the transfer's. Raises NotBookable where the line was decided already.

    Another amount than asked for goes under review, and money for a paid invoice becomes credit.
    """
    with tenancy.as_worker():
        row = StatementLine.objects.select_for_update(no_key=True).get(pk=line.pk)
        if row.state == LineState.BOOKED:
            raise NotBookable(_("This line is booked already."))
        row.state, row.transfer, row.note = LineState.BOOKED, transfer, ""
        row.save(update_fields=["state", "transfer", "note"])
        new = {"reference": transfer.reference, "amount_minor": row.amount_minor, "currency": row.currency}
        audit.record(action="statement_line.book", entity=row, actor=actor, new=new, at=at)
        arrived = payment_of_line(row, transfer.payment)
        return payment_sync.settle(payment_id=transfer.payment_id, gateway_payment=arrived, at=at)


def record_arrival(*, transfer: BankTransfer, amount: Money, booked_on: date, actor: object, at: datetime) -> Payment:
    """Book money that staff saw on the account without a statement. The same day and amount again changes nothing.

    Raises NotBookable.
    """
    with tenancy.as_worker():
        account = GatewayAccount.objects.get(code=transfer.payment.gateway)
        line, _is_new = StatementLine.objects.get_or_create(
            account=account,
            fingerprint=f"{transfer.reference}:{booked_on}:{amount.minor}"[:64],
            defaults={
                "booked_on": booked_on,
                "amount_minor": amount.minor,
                "currency": amount.currency,
                "text": transfer.reference,
            },
        )
        return book_line(line=line, transfer=transfer, actor=actor, at=at)


def assign_line(*, line: StatementLine, reference: str, actor: object, at: datetime) -> Payment:
    """Book a line on the transfer that staff name. Raises NotBookable."""
    transfers = BankTransfer.objects.select_related("payment").filter(payment__gateway=line.account.code)
    transfer = transfers.filter(reference=normalized(reference)).first()
    if transfer is None:
        raise NotBookable(_("No transfer has this reference."))
    return book_line(line=line, transfer=transfer, actor=actor, at=at)


def ignore_line(*, line: StatementLine, reason: str, actor: object) -> None:
    """Say that a line pays nothing here. Raises NotBookable where it was booked meanwhile."""
    with tenancy.as_worker():
        row = StatementLine.objects.select_for_update(no_key=True).get(pk=line.pk)
        if row.state == LineState.BOOKED:
            raise NotBookable(_("This line is booked already."))
        row.state, row.note = LineState.IGNORED, reason[:255]
        row.save(update_fields=["state", "note"])
        audit.record(action="statement_line.ignore", entity=row, actor=actor, new={"reason": reason})


def normalized(text: str) -> str:
    """Capitals and digits alone: banks add spaces and dashes."""
    return NOT_IN_REFERENCES.sub("", text.upper())
