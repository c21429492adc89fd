"""The form of an order beside its servers: coupon, credit and renewal."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from billing import credit, gateway_accounts
from billing.models import BillingMode
from catalog.models import Term
from core.money import Money
from orders.coupons import CouponRefused, FindCoupon
from orders.placement import ItemRequest, OrderRequest, billing_mode_of
from orders.quote import CouponUse, OrderQuote, PricedItem, quotes
from orders.storefront.item_form import ChoicesForm, ids_in


class PaymentForm(ChoicesForm):
    """How an order is paid and renewed. A subclass says what `priced_items` are ordered by the present choices."""

    is_auto_renewed = forms.BooleanField(
        label=_("Renew automatically"),
        required=False,
        help_text=_("We save the payment method you pay with, and charge it for each new period until you cancel."),
    )
    uses_credit = forms.BooleanField(label=_("Use your wallet balance"), required=False)
    coupon = forms.CharField(
        label=_("Coupon code"),
        required=False,
        max_length=32,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
    )
    form_token = forms.UUIDField(widget=forms.HiddenInput)
    # Ids of the prices and promotions that the page showed; the page writes this field itself, as it shows them now.
    shown_prices = forms.CharField(required=False, max_length=20_000)

    def __init__(
        self, *args: Any, currency: str, find_coupon: FindCoupon, balance: Money | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.balance, self.find_coupon = balance, find_coupon
        if balance:
            self.fields["uses_credit"].label = _("Use your wallet balance (%(balance)s)") % {"balance": balance}
        else:
            del self.fields["uses_credit"]
        if not gateway_accounts.accounts_for(currency=currency, is_auto_renewed=True):
            del self.fields["is_auto_renewed"]  # no gateway could charge again

    @property
    def priced_items(self) -> Sequence[PricedItem]:
        """What the present choices order."""
        raise NotImplementedError

    @property
    def is_hourly(self) -> bool:
        """Whether everything is billed by the hour from the wallet, so that nothing renews."""
        items = self.priced_items
        return bool(items) and all(item.plan_price.term == Term.HOURLY for item in items)

    @cached_property
    def shown_ids(self) -> set[UUID]:
        """The prices and promotions that the page showed."""
        return ids_in(self.data.get("shown_prices", ""))

    def order_request(self, items: Sequence[ItemRequest]) -> OrderRequest:
        """These servers as an order, as the checked form says to pay; only after `is_valid()`."""
        return OrderRequest(
            items,
            is_auto_renewed=self.cleaned_data.get("is_auto_renewed", False),
            # Also where nothing is left: sent again, it is the order that has reserved it.
            uses_credit=bool(self.data.get("uses_credit")),
            coupon_use=self.coupon_use[0],
        )

    def refuse_unpayable_rest(self) -> None:
        """A coupon must leave nothing to pay, or as much as a gateway takes."""
        order_quote = self.quote()
        if self.coupon_use[0] is None or order_quote is None:
            return
        left = order_quote.due_today - self.credit_for(order_quote)
        least = credit.least_amount(order_quote.currency, is_auto_renewed=self.is_checked("is_auto_renewed"))
        if left and left < least:
            values = {"left": left, "least": least}
            text = _("This coupon would leave %(left)s to pay, and we cannot charge less than %(least)s.")
            self.add_error("coupon", str(text) % values)

    def show_coupon_error(self) -> None:
        """Say beside the field why its coupon cannot be used, also on a page whose form was not sent yet."""
        _use, error = self.coupon_use
        if error and not self.is_bound:
            self.full_clean()
            self.cleaned_data = {}
        if error:
            self.add_error("coupon", error)

    def is_checked(self, name: str) -> bool:
        """Whether a checkbox is there and checked by the present choices."""
        return name in self.fields and bool(self[name].value())

    def credit_for(self, order_quote: OrderQuote) -> Money:
        """What of the quote credit pays by the present choices, as `credit.use_credit` will take it."""
        nothing = Money.zero(order_quote.currency)
        if not self.balance or not self.is_checked("uses_credit"):
            return nothing
        is_auto_renewed = self.is_checked("is_auto_renewed")
        if is_auto_renewed and billing_mode_of(order_quote.servers) == BillingMode.GATEWAY:
            return nothing
        least = credit.least_amount(order_quote.currency, is_auto_renewed=is_auto_renewed)
        return credit.usable_credit(
            order_quote.due_today, balance=self.balance, least=least, is_auto_renewed=is_auto_renewed
        )

    @cached_property
    def coupon_use(self) -> tuple[CouponUse | None, str]:
        """The coupon for the present choices, and why what was typed is none."""
        code = self.chosen("coupon").strip()
        if not code or not self.priced_items:
            return None, ""
        try:
            form_token = next(iter(ids_in(self.chosen("form_token"))), None)
            return self.find_coupon(code, self.priced_items, form_token), ""
        except CouponRefused as error:
            return None, str(error)

    def quote(self) -> OrderQuote | None:
        """What the present choices cost."""
        items = self.priced_items
        return OrderQuote(tuple(quotes(items, self.coupon_use[0]))) if items else None


def payment_fields(sent: QueryDict) -> dict[str, str]:
    """What was sent of how an order is paid, for the address of the page that shows it again."""
    return {name: str(sent[name]) for name in ("coupon", "is_auto_renewed", "uses_credit") if name in sent}
