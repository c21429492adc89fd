"""The cart's forms: how many of each server, and how all of them are paid."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import SshKey
from core import formats
from core.money import Money, total
from orders.placement import ItemRequest
from orders.quote import OrderQuote, PricedItem, Quote
from orders.storefront.cart import Line
from orders.storefront.item_form import ItemForm
from orders.storefront.offers import Offer, period_name
from orders.storefront.payment_form import PaymentForm

MAX_QUANTITY = 10
NAME_LENGTH = 64
OUT_OF_BOUNDS = gettext_lazy("Enter a number from 1 to 10.")


class QuantityForm(forms.Form):
    """How many servers of a line."""

    quantity = forms.IntegerField(
        label=gettext_lazy("Quantity"),
        min_value=1,
        max_value=MAX_QUANTITY,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), OUT_OF_BOUNDS),
    )


class CartItem:
    """A line of the cart, checked against what is for sale now; `offer` is None where the product is not."""

    def __init__(
        self,
        line: Line,
        offer: Offer | None,
        quantities: QueryDict | None = None,
        ssh_keys: Sequence[SshKey] = (),
    ) -> None:
        self.line, self.offer = line, offer
        self.quantity_form = QuantityForm(quantities, prefix=line.key, initial={"quantity": line.quantity})
        self.form = ItemForm(QueryDict(line.choices), offer=offer, ssh_keys=ssh_keys) if offer else None
        self.refusals: list[str] = []  # what placing the order found

    @cached_property
    def priced(self) -> list[PricedItem]:
        """Each server of the line, none where the line cannot be priced."""
        item = self.form.priced_item if self.form else None
        return [item] * self.line.quantity if item else []

    @property
    def name(self) -> str:
        """Its server's name and plan."""
        name = QueryDict(self.line.choices).get("server_name", "")
        plan = self.priced[0].plan_price.plan if self.priced else None
        return " · ".join([name, *([f"{plan.product.name} {plan.name}"] if plan else [])])

    @property
    def details(self) -> str:
        """Where it is, its billing cycle and its add-ons."""
        if self.form is None or not self.priced:
            return ""
        item, region = self.priced[0], self.form.chosen("region")
        places = [str(row) for row in self.form.offer.regions if row.code == region]
        chosen = [str(image)] if (image := self.form.chosen_image) else []
        counted = Counter(price.addon.name for price in item.addon_prices)
        chosen += [formats.counted(name, units) for name, units in counted.items()]
        return " · ".join([*places, item.plan_price.get_term_display(), *chosen])

    @cached_property
    def requests(self) -> list[ItemRequest]:
        """Each server of the line as it is ordered; none of a line with problems."""
        if self.form is None or self.problems:
            return []
        request = self.form.item_request
        return [
            replace(request, server_name=numbered(request.server_name, number))
            for number in range(1, self.line.quantity + 1)
        ]

    @property
    def shown_ids(self) -> list[UUID]:
        """The prices that it is shown at, and its promotion."""
        item = self.priced[0] if self.priced else None
        rows = [item.plan_price, *item.addon_prices, item.promotion] if item else []
        return [row.pk for row in rows if row]

    @property
    def problems(self) -> list[str]:
        """Why it cannot be ordered as it is."""
        if self.form is None or not self.priced:
            return [_("It is no longer sold like this, or not in your currency. Change or remove it.")]
        return [*(str(error) for errors in self.form.errors.values() for error in errors), *self.refusals]


def numbered(name: str, number: int) -> str:
    """The name of one of several servers: "smp", "smp 2", "smp 3"."""
    suffix = f" {number}" if number > 1 else ""
    return name[: NAME_LENGTH - len(suffix)] + suffix


@dataclass(frozen=True)
class CartRow:
    """An item with its price: `servers` are the quotes of its servers, `total` is due today with its tax."""

    item: CartItem
    servers: Sequence[Quote]
    total: Money | None = None

    @property
    def period(self) -> str:
        """What a renewal is for: "month"."""
        return period_name(self.servers[0].term)


class CartForm(PaymentForm):
    """How the servers of a cart are paid and renewed."""

    def __init__(self, *args: Any, items: Sequence[CartItem], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items = items
        if self.is_hourly:
            self.fields.pop("is_auto_renewed", None)

    @cached_property
    def priced_items(self) -> list[PricedItem]:
        """Every server that has a price."""
        return [priced for item in self.items for priced in item.priced]

    def clean(self) -> dict[str, Any]:
        """Every line must be for sale, at the prices that the page showed."""
        cleaned = super().clean() or self.cleaned_data
        self.show_coupon_error()
        for item in self.items:
            if item.form and not item.problems:
                item.form.refuse_unseen_prices(self.shown_ids)
        if any(item.problems for item in self.items):
            self.add_error(None, _("Nothing was ordered yet. Look at the marked servers in your cart first."))
        if not self.errors:
            self.refuse_unpayable_rest()
        return cleaned

    def requests(self) -> list[ItemRequest]:
        """Every server as it is ordered; only after `is_valid()`."""
        return [request for item in self.items for request in item.requests]

    def rows(self, quote: OrderQuote | None) -> list[CartRow]:
        """Each item with what its servers cost of the quote."""
        rows, first = [], 0
        for item in self.items:
            last = first + len(item.priced)
            if quote is None or first == last:
                rows.append(CartRow(item, ()))
            else:
                due = total(quote.shares[first:last], quote.currency)
                rows.append(CartRow(item, quote.servers[first:last], due))
            first = last
        return rows
