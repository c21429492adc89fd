"""Proration: what a change of a subscription's items costs within periods that are paid already.

Pure functions: they read nothing from the database. Everything is exact (`Fraction`) until the one rounding of each
line, half to even, and to the microsecond that rows have.
"""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from billing.invoicing import InvoiceLine
from billing.models import ItemKind, Period, Subscription, SubscriptionItem
from billing.tax import Tax
from catalog.models import AddonPrice, PlanPrice, Term
from core import formats
from core.money import Money, payable_step

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class PaidTime:
    """What was paid for an item for a time: minor units, net of discounts and of what was taken back since."""

    item: SubscriptionItem
    period: Period
    paid: Fraction
    tax: Tax | None = None  # what was paid with it


@dataclass(frozen=True)
class NewItem:
    """What is added at a price: a plan, or so many units of an add-on, and the row of the subscription that stands for
    it, once it is.
    """

    price: PlanPrice | AddonPrice
    description: str
    item: SubscriptionItem | None = None
    units: int = 1


def share(period: Period, at: datetime) -> Fraction:
    """How much of the period is left at `at`: 1 before it begins, 0 when it is over."""
    left = period.end - max(period.start, at)
    return max(Fraction(0), Fraction(left // MICROSECOND, (period.end - period.start) // MICROSECOND))


def terms_left(period: Period, term: Term, *, anchor_day: int | None, at: datetime) -> Fraction:
    """What is left of the period at `at`, in terms: a price is for one.

    A period is a term, but for the first one of a server that was transferred, or adopted, when part of it was paid:
    that may be shorter or longer, and is measured by the term that would end with it.
    """
    if not term.months:
        return share(period, at)
    whole = period.end - months_before(period.end, term.months, anchor_day or period.start.day)
    left = period.end - max(period.start, at)
    return max(Fraction(0), Fraction(left // MICROSECOND, whole // MICROSECOND))


def months_before(end: datetime, months: int, anchor_day: int) -> datetime:
    """When the term of so many months begins that ends at `end`."""
    count = end.year * 12 + end.month - 1 - months
    year, month = count // 12, count % 12 + 1
    return end.replace(year=year, month=month, day=min(anchor_day, calendar.monthrange(year, month)[1]))


def rest(period: Period, at: datetime) -> Period:
    """What is left of a period that is not over at `at`."""
    return Period(max(period.start, at), period.end)


def round_minor(amount: Fraction, currency: str) -> Money:
    """What can be paid of the currency, half to even: the one rounding of a line."""
    step = payable_step(currency).minor
    return Money(round(amount / step) * step, currency)


def unused_lines(paid: Iterable[PaidTime], *, subscription: Subscription, at: datetime) -> list[InvoiceLine]:
    """The credit for what was paid for items from `at` on, a line for each time."""
    return [
        InvoiceLine(
            kind=ItemKind.CREDIT,
            description=formats.counted(time.item.description, time.item.quantity),
            unit=-round_minor(time.paid * share(time.period, at), time.item.currency),
            is_recurring=False,
            subscription=subscription,
            subscription_item=time.item,
            period=rest(time.period, at),
            paid_with=time.tax,
        )
        for time in paid
        if time.period.end > at
    ]


def remaining_lines(
    items: Sequence[NewItem], periods: Iterable[Period], *, subscription: Subscription, at: datetime
) -> list[InvoiceLine]:
    """The price of new items from `at` to the end of each period, a line for each."""
    return [
        InvoiceLine(
            kind=ItemKind.PRORATION,
            description=formats.counted(new.description, new.units),
            unit=round_minor(
                new.price.amount_minor
                * new.units
                * terms_left(period, Term(new.price.term), anchor_day=subscription.anchor_day, at=at),
                new.price.currency,
            ),
            is_recurring=False,
            price=new.price,
            subscription=subscription,
            subscription_item=new.item,
            period=rest(period, at),
        )
        for period in sorted(periods, key=lambda period: period.start)
        for new in items
        if period.end > at
    ]


def split_discount(discount_minor: int, amounts: Sequence[int]) -> list[Fraction]:
    """The share of each line in a discount, by the lines' amounts; exact, so that the shares are the discount."""
    whole = sum(amounts)
    return [Fraction(discount_minor * amount, whole) if whole else Fraction(0) for amount in amounts]
