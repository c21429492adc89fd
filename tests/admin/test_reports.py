"""The reports for staff: their figures, their pages and their CSV."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing import invoicing, item_changes, payments, subscriptions
from billing.models import Invoice, Payment
from billing.proration import NewItem
from billing.reports import REPORTS, Report, rows_of
from catalog.models import Addon, Plan, Term
from core import csv_files
from core.money import Money
from nodebyte.reports import chart_of
from tests.billing.sales import Sale, make_sale, refund, run_commit_triggers
from tests.billing.test_collect import top_up
from tests.billing.test_renew import END, make_subscription, renew
from tests.billing.test_tax import add_rate, at_address, set_up_shop
from tests.builders import make_addon, make_addon_price, make_organization, make_plan, make_price
from tests.orders.sold import make_sold

pytestmark = pytest.mark.django_db

YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def day(month: int, number: int = 10) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def sell(at: datetime, **fields: Any) -> Sale:
    sale = make_sale(at=at, **fields)
    sale.settle(at=at)
    return sale


def report(code: str) -> Report:
    return next(each for each in REPORTS if each.code == code)


def figures(code: str, *names: str) -> list[tuple[Any, ...]]:
    since, until = YEAR
    return [tuple(row[name] for name in names) for row in rows_of(report(code), since=since, until=until)]


def test_recurring_revenue_moves_by_customers_who_come_grow_shrink_leave_and_return() -> None:
    ada, ben = make_organization(), make_organization()
    first = sell(day(1), organization=ada, minor=800)
    yearly = make_price(make_plan(), minor=12_000, term=Term.YEARLY)
    sell(day(2), organization=ada, price=yearly)  # 1,000 a month more
    sell(day(2), organization=ben, minor=500)
    make_sale(at=day(2), organization=make_organization(), minor=9_900)  # never paid
    subscriptions.end_subscription(subscription=first.subscription, reason="test", at=day(3))
    for subscription in ben.subscriptions.all():
        subscriptions.end_subscription(subscription=subscription, reason="test", at=day(3))
    sell(day(5), organization=ben, minor=700)

    names = ("mrr", "new", "expansion", "contraction", "churn", "reactivation", "customers", "arpu")
    moved = [(row[0].month, *row[1:]) for row in figures("recurring-revenue", "month", *names)]

    assert moved[:5] == [
        (1, 800, 800, 0, 0, 0, 0, 1, 800),
        (2, 2300, 500, 1000, 0, 0, 0, 2, 1150),
        (3, 1000, 0, 0, -800, -500, 0, 1, 1000),
        (4, 1000, 0, 0, 0, 0, 0, 1, 1000),
        (5, 1700, 0, 0, 0, 0, 700, 2, 850),
    ]
    before = 0
    for _month, mrr, *changes in (row[:7] for row in moved):
        assert before + sum(changes) == mrr
        before = mrr


def test_another_billing_cycle_leaves_recurring_revenue_before_it_as_it_was() -> None:
    row = sell(day(1), minor=800).subscription
    plan_item = row.items.get()
    assert plan_item.plan_price is not None
    yearly = make_price(plan_item.plan_price.plan, minor=7200, term=Term.YEARLY)
    added = item_changes.add_items(subscription=row, items=[NewItem(yearly, "yearly")])
    begun = [new.item.pk for new in added if new.item]
    item_changes.switch_items(subscription=row, ended=[plan_item.pk], begun=begun, term=Term.YEARLY, at=day(3))

    assert [mrr for (mrr,) in figures("recurring-revenue", "mrr")][:4] == [800, 800, 600, 600]


def test_cohorts_say_who_stayed() -> None:
    stays, leaves = sell(day(1)), sell(day(1))
    subscriptions.end_subscription(subscription=leaves.subscription, reason="test", at=day(2))

    rows = figures("cohorts", "months_later", "customers", "remaining", "share")

    assert rows[:3] == [(1, 2, 2, 100), (2, 2, 1, 50), (3, 2, 1, 50)]
    assert stays.subscription.reload().ended_at is None


def test_revenue_is_what_was_sold_less_what_was_given_back() -> None:
    sale = sell(day(1), minor=800)
    sell(day(1), minor=250)
    sell(day(1), minor=90_000, currency="IDR")
    run_commit_triggers()
    refund(Payment.objects.get(invoice=sale.invoice, state="succeeded"), 300)

    rows = figures("revenue", "day", "currency", "sold", "refunded", "revenue")

    assert [(*row[:1], *row[1:]) for row in rows if row[1] == "USD"] == [
        (day(1).date(), "USD", 1050, 0, 1050),
        (datetime(2026, 3, 1, tzinfo=UTC).date(), "USD", 0, -300, -300),
    ]
    assert ("IDR", 90_000) in [(row[1], row[4]) for row in rows]


def test_fees_are_what_each_gateway_kept_of_what_it_took() -> None:
    for minor, fee in ((800, 53), (1_200, 47)):
        sale = make_sale(at=day(1), minor=minor)
        sale.settle(day(1), fee=Money(fee, "USD"))
    sell(day(2), minor=500)

    names = ("month", "gateway", "currency", "received", "fees", "dispute_fees", "share")

    assert figures("fees", *names) == [
        (date(2026, 1, 1), "stripe", "USD", 2_000, 100, 0, Decimal("5.00")),
        (date(2026, 2, 1), "stripe", "USD", 500, 0, 0, Decimal("0.00")),
    ]


def test_failed_payments_are_counted_by_reason() -> None:
    for month, minor, reason in ((1, 800, "declined"), (2, 300, "declined"), (2, 900, "expired")):
        payments.fail(payment_id=make_sale(at=day(month), minor=minor).payment.pk, reason=reason, at=day(month))
    sell(day(3))

    assert figures("failed-payments", "gateway", "failure", "currency", "payments", "amount", "last") == [
        ("stripe", "declined", "USD", 2, 1_100, day(2).date()),
        ("stripe", "expired", "USD", 1, 900, day(2).date()),
    ]


def test_tax_is_told_by_country_and_month_less_that_of_credit_notes() -> None:
    set_up_shop()
    add_rate("FR", "20")
    german, french = (at_address(country=country, address_line="Weg 2", city="X") for country in ("DE", "FR"))
    back = sell(day(1), organization=german, minor=1_000)
    sell(day(1), organization=german, minor=500)
    sell(day(1), organization=french, minor=1_000)
    sell(day(2), organization=german, minor=100)
    run_commit_triggers()
    refund(Payment.objects.get(invoice=back.invoice, state="succeeded"), 595)  # in March, as tests refund

    assert figures("tax", "month", "jurisdiction", "rate", "currency", "net", "tax") == [
        (date(2026, 1, 1), "DE", 19, "USD", 1_500, 285),
        (date(2026, 1, 1), "FR", 20, "USD", 1_000, 200),
        (date(2026, 2, 1), "DE", 19, "USD", 100, 19),
        (date(2026, 3, 1), "DE", 19, "USD", -500, -95),
    ]


def test_what_was_unpaid_on_a_day_is_what_had_been_neither_paid_nor_voided_by_then() -> None:
    paid, voided = make_subscription(), make_subscription(minor=300)
    renew()
    invoices = {row.organization_id: row for row in Invoice.objects.exclude(due_at=None)}
    top_up(paid.organization, 800)
    invoicing.pay_from_wallet(invoice=invoices[paid.organization_id], at=END + timedelta(days=10))
    invoicing.void_invoice(
        invoice=invoices[voided.organization_id], reason="test", actor=None, at=END + timedelta(days=40)
    )

    def owed(days: int) -> list[tuple[int, ...]]:
        until = END + timedelta(days=days)
        names = ("invoices", "total", "not_due", "week", "month", "longer")
        return [tuple(row[name] for name in names) for row in rows_of(report("unpaid"), since=until, until=until)]

    assert owed(-8) == []  # not invoiced yet
    assert owed(0) == [(2, 1_100, 1_100, 0, 0, 0)]
    assert owed(1) == owed(7) == [(2, 1_100, 0, 1_100, 0, 0)]
    assert owed(8) == [(2, 1_100, 0, 0, 1_100, 0)]
    assert owed(30) == [(1, 300, 0, 0, 300, 0)]
    assert owed(31) == [(1, 300, 0, 0, 0, 300)]
    assert owed(41) == []


def test_margin_counts_the_months_of_each_term() -> None:
    plan = make_plan(cost_minor=300, cost_currency="USD")
    Plan.objects.filter(pk=plan.pk).update(cost_minor=300, cost_currency="USD")
    addon = make_addon(cost_minor=40, cost_currency="USD")
    sell(day(1), price=make_price(plan, minor=800), addon_prices=[make_addon_price(addon, minor=250)])
    yearly = sell(day(1), price=make_price(plan, minor=8_000, term=Term.YEARLY))
    run_commit_triggers()

    assert figures("margin", "code", "months", "revenue", "cost", "margin") == [(plan.code, 13, 9_050, 3_940, 5_110)]
    refund(Payment.objects.get(invoice=yearly.invoice, state="succeeded"), 1_000)
    assert figures("margin", "code", "months", "revenue", "cost", "margin") == [(plan.code, 13, 8_050, 3_940, 4_110)]
    Addon.objects.update(cost_currency="EUR")
    assert figures("margin", "revenue", "cost") == [(8_050, None)]


def test_margin_is_told_where_the_servers_are() -> None:
    sold = make_sold(at=day(1))
    Plan.objects.filter(pk=sold.offer.small.plan_id).update(cost_minor=300, cost_currency="USD")

    names = ("provider", "location", "servers", "revenue", "cost", "margin")

    location = sold.offer.location
    where = (location.provider.name, location.name, 1)
    assert figures("margin-by-location", *names) == [(*where, 800, 300, 500)]

    Addon.objects.update(cost_minor=100, cost_currency="USD")
    sold.give_credit()
    sold.change_to(sold.offer.small, *[sold.offer.addon] * 2, at=day(1))
    days = (sold.subscription.current_period_end - day(1)).days  # type: ignore[operator]
    cost = 300 + round(2 * 100 * days * 12 / 365.25)
    assert figures("margin-by-location", *names) == [(*where, 1_600, cost, 1_600 - cost)]


def test_a_year_that_is_paid_is_earned_month_by_month_and_to_the_cent() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    sell(begin, price=make_price(minor=10_001, term=Term.YEARLY), setup_minor=500)

    rows = figures("recognised-revenue", "month", "earned", "credited", "later")

    assert len(rows) == 12
    assert rows[0][1:] == (849 + 500, 0, 10_001 - 849)  # 31 of 365 days
    assert rows[1][1] == 768  # 28
    assert (sum(row[1] for row in rows), rows[-1][3]) == (10_501, 0)


def test_what_is_credited_is_no_longer_earned_and_the_months_add_up_to_what_is_left() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    whole, part = (sell(begin, price=make_price(minor=36_500, term=Term.YEARLY)) for _ in range(2))
    run_commit_triggers()
    for sale, minor in ((whole, 36_500), (part, 30_000)):
        refund(Payment.objects.get(invoice=sale.invoice, state="succeeded"), minor)  # in March, as tests refund

    rows = figures("recognised-revenue", "month", "earned", "credited", "revenue", "later")

    months = [(row[0].month, *row[1:]) for row in rows]
    assert months[:5] == [
        (1, 6_200, 0, 6_200, 2 * 36_500 - 6_200),
        (2, 5_600, 0, 5_600, 2 * 36_500 - 11_800),
        (3, 600, 5_900, -5_300, 0),  # of the one all of 5,900 went back; of the other 600 were left to be earned
        (4, 0, 0, 0, 0),
        (5, 0, 0, 0, 0),
    ]
    assert sum(row[3] for row in rows) == 6_500


def test_the_months_of_prices_with_tax_add_up_to_the_net_amount() -> None:
    set_up_shop(prices="inclusive")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    prices = [make_addon_price(minor=minor, term=Term.YEARLY) for minor in (333, 335, 337)]
    sale = sell(begin, price=make_price(minor=1_001, term=Term.YEARLY), addon_prices=prices, setup_minor=501)
    assert sale.invoice.reload().is_tax_inclusive

    rows = figures("recognised-revenue", "earned", "later")

    assert (sum(row[0] for row in rows), rows[-1][1]) == (sale.invoice.reload().net_minor, 0)


def test_bookings_of_an_account_and_a_contra_account_are_the_ledger() -> None:
    sell(day(1))
    booked: Counter[str] = Counter()
    for amount, side, account, contra in figures(
        "datev", "Umsatz", "Soll/Haben-Kennzeichen", "Konto", "Gegenkonto (ohne BU-Schlüssel)"
    ):
        signed = amount if side == "S" else -amount
        booked.update({account: signed, contra: -signed})

    assert {account: minor for account, minor in booked.items() if minor} == {"1360": 800, "8400": -800}


def test_the_journal_balances() -> None:
    sell(day(1))

    rows = figures("journal", "debit", "credit")

    assert rows
    assert sum(debit for debit, _credit in rows) == sum(credit for _debit, credit in rows) > 0


@pytest.mark.parametrize("each", REPORTS, ids=lambda each: each.code)
def test_every_report_is_a_page_and_a_file(each: Report, superadmin: Client) -> None:
    sell(day(1))
    make_sale(at=day(2))
    Payment.objects.filter(state="pending").update(state="failed", failure="=card_declined")
    days = {"first": "2026-01-01", "last": "2026-12-31"}

    page = superadmin.get(reverse("admin:report", args=[each.code]), days)
    file = superadmin.get(reverse("admin:report_csv", args=[each.code]), days)

    assert page.status_code == 200
    lines = b"".join(file.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "\ufeff" + ",".join(column.name for column in each.columns)
    assert len(lines) - 1 == page.context["row_count"]
    assert superadmin.get(reverse("admin:report", args=[each.code])).status_code == 200


def test_reports_are_for_staff_who_may_see_the_ledger(staff: Callable[[str], Client]) -> None:
    addresses = [reverse("admin:reports"), reverse("admin:report", args=["tax"])]
    billing, support = staff("billing"), staff("support")

    assert [billing.get(address).status_code for address in addresses] == [200, 200]
    assert [support.get(address).status_code for address in addresses] == [403, 403]
    assert billing.get(reverse("admin:report", args=["nothing"])).status_code == 404


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-05-01", "2026-04-01", "This is before the first day."),
        ("1990-01-01", "2026-04-01", "Choose at most ten years."),
        ("yesterday", "2026-04-01", "Enter a valid date."),
    ],
)
def test_days_that_make_no_sense_are_explained(superadmin: Client, first: str, last: str, words: str) -> None:
    page = superadmin.get(reverse("admin:report", args=["tax"]), {"first": first, "last": last})

    assert page.status_code == 400
    assert words in page.content.decode()


def test_a_chart_leaves_no_day_and_no_month_out() -> None:
    revenue, mrr = (next(each for each in REPORTS if each.code == code) for code in ("revenue", "recurring-revenue"))
    sold = {date(2026, 3, 30): 500, date(2026, 4, 2): 1000}
    days = chart_of(revenue, [{"day": day, "currency": "USD", "revenue": minor} for day, minor in sold.items()])
    months = chart_of(mrr, [{"month": date(2026, each, 1), "currency": "USD", "mrr": 100} for each in (3, 6)])

    assert [bar["height"] for bar in days] == [150, 0, 0, 300]
    assert [bar["height"] for bar in months] == [300, 0, 0, 300]


def test_no_cell_of_a_file_is_a_formula() -> None:
    lines = list(csv_files.csv_lines(["name"], [["=1+1"], ["+49"], ["@x"], [-5], ["fine"]]))

    assert lines[1:] == ["'=1+1\r\n", "'+49\r\n", "'@x\r\n", "-5\r\n", "fine\r\n"]
