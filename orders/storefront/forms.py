"""The configurator's form: what the customer chooses, checked against what is for sale now."""

import re
from functools import cached_property
from typing import Any, cast
from uuid import UUID, uuid4

from django import forms
from django.forms.boundfield import BoundWidget
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from billing import credit, gateway_accounts
from billing.models import BillingMode
from catalog.models import AddonPrice, PlanPrice, Term
from core import site_settings
from core.money import Money, Rate
from orders.coupons import CouponRefused, FindCoupon
from orders.placement import ItemRequest, OrderRequest
from orders.quote import CouponUse, PricedItem, Quote, quotes
from orders.storefront.offers import Offer, best_promotion, period_name
from servers.forms import clean_server_name
from servers.models import Region

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OUT_OF_STOCK_HERE = _("Out of stock in this region. Choose another region or a smaller plan.")


class ConfigureForm(forms.Form):
    """Plan, region, billing cycle, add-ons and name of one server."""

    plan = forms.ChoiceField(label=_("Plan"), widget=forms.RadioSelect)
    region = forms.ChoiceField(
        label=_("Region"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a region."),
            "invalid_choice": _("This region is no longer available. Choose another region."),
        },
    )
    term = forms.ChoiceField(label=_("Billing cycle"), widget=forms.RadioSelect)
    addons = forms.MultipleChoiceField(label=_("Add-ons"), required=False, widget=forms.CheckboxSelectMultiple)
    server_name = forms.CharField(
        label=_("Server name"),
        min_length=2,
        max_length=64,
        help_text=_("Letters, digits, spaces, periods, hyphens and apostrophes. You can change it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    is_auto_renewed = forms.BooleanField(
        label=_("Renew automatically"),
        required=False,
        help_text=_("We save the payment method you pay with, and charge it for each new period until you cancel."),
    )
    uses_credit = forms.BooleanField(label=_("Use your credit"), required=False)
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
        self, *args: Any, offer: Offer, find_coupon: FindCoupon, balance: Money | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.offer, self.balance, self.find_coupon = offer, balance, find_coupon
        if balance:
            self.fields["uses_credit"].label = _("Use your credit (%(balance)s)") % {"balance": balance}
        else:
            del self.fields["uses_credit"]
        currency = offer.prices[0].currency if offer.prices else ""
        if not gateway_accounts.accounts_for(currency=currency, is_auto_renewed=True):
            del self.fields["is_auto_renewed"]  # no gateway could charge again
        addons = offer.addons(self.chosen("term"))
        choices: dict[str, list[tuple[str, Any]]] = {
            "plan": [(row.plan.code, row.plan.name) for row in offer.plans()],
            "region": [(region.code, str(region)) for region in offer.regions],
            "term": [(term.value, self.term_label(term)) for term in offer.terms],
            "addons": [(price.addon.code, addon_label(price)) for price in addons],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]

    @property
    def region_choices(self) -> list[tuple[BoundWidget, Region]]:
        """Each input of a region, with the region."""
        return list(zip(self["region"], self.offer.regions, strict=True))

    def term_label(self, term: Term) -> str:
        """The term with what the chosen plan costs for it."""
        found = self.offer.term_offer(self.chosen("plan"), term)
        if found is None:
            return str(term.label)
        notes = [f"/ {found.period}"]
        if found.monthly is not None:
            text = _("about %(price)s / month") if term == Term.HOURLY else _("%(price)s / month")
            notes.append(str(text) % {"price": found.monthly})
        return format_html(
            '{} <b class="num">{}</b> <span class="muted small">{}</span>',
            term.label,
            found.price,
            " · ".join([*notes, *([found.saving] if found.saving else [])]),
        )

    def chosen(self, name: str) -> str:
        """The value that was sent, or the one the form began with."""
        value = self.data.get(name) if self.is_bound else None
        return str(value or self.initial.get(name, ""))

    def clean_server_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["server_name"])

    def clean(self) -> dict[str, Any]:
        """Check that plan, term and region go together, and look up their rows."""
        cleaned = super().clean() or self.cleaned_data
        if "plan" in cleaned and "term" in cleaned:
            cleaned["plan_price"] = self.offer.price(cleaned["plan"], cleaned["term"])
            if cleaned["plan_price"] is None:
                self.add_error("term", _("This plan is not sold with this billing cycle."))
            by_code = {price.addon.code: price for price in self.offer.addons(cleaned["term"])}
            codes = dict.fromkeys(cleaned.get("addons", []))  # each once, however often it was sent
            cleaned["addon_prices"] = [by_code[code] for code in codes if code in by_code]
        if "plan" in cleaned and "region" in cleaned:
            region = next(row for row in self.offer.regions if row.code == cleaned["region"])
            cleaned["region_row"] = region
            if not self.offer.is_available(cleaned["plan"], region):
                self.add_error("region", OUT_OF_STOCK_HERE)
        self.show_coupon_error()
        if not self.errors:
            self.refuse_unseen_prices(cleaned)
            self.refuse_unpayable_rest()
        return cleaned

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

    def refuse_unseen_prices(self, cleaned: dict[str, Any]) -> None:
        """Show a price that rose since the page was opened beside its field: sending the form again agrees to it."""
        shown = {UUID(text) for text in cleaned["shown_prices"].split() if UUID_TEXT.fullmatch(text)}
        for price in (cleaned["plan_price"], *cleaned["addon_prices"]):
            field, item = ("plan", price.plan) if isinstance(price, PlanPrice) else ("addons", price.addon)
            same = {"term": price.term, "currency": price.currency}
            before = item.prices.filter(pk__in=shown, **same).order_by("-offered_at").first()
            now, then = self.promoted(price), None
            if before is not None:
                then = self.promoted(before, shown)
                # The first payment includes the setup fee that a plan may have.
                setup_fee, setup_fee_before = (getattr(row, "setup_fee_minor", 0) for row in (price, before))
                if now.minor <= then.minor and setup_fee <= setup_fee_before:
                    continue
            values = {"name": item.name, "price": now, "period": period_name(Term(price.term))}
            if then is None or now == then:
                text = _(
                    "%(name)s costs %(price)s / %(period)s now. "
                    "Check the summary, then continue to order at this price."
                )
            else:
                values["before"] = then
                text = _(
                    "The price of %(name)s has changed from %(before)s to %(price)s / %(period)s. "
                    "Continue again to order at the new price."
                )
            self.add_error(field, str(text) % values)

    def promoted(self, price: PlanPrice | AddonPrice, shown: set[UUID] | None = None) -> Money | Rate:
        """The price less its promotion: the one that it has now, or the best of those that the page showed."""
        if not isinstance(price, PlanPrice):
            return price.unit_price
        if shown is None:
            promotion = self.offer.promotion_of(price)
        else:
            promotion = best_promotion(price.plan.promotions.filter(pk__in=shown), price)
        return price.amount - promotion.off(price.amount) if promotion else price.unit_price

    @property
    def order_request(self) -> OrderRequest:
        """The checked form as a request; only after `is_valid()`."""
        item = ItemRequest(
            plan_price=self.cleaned_data["plan_price"],
            region=self.cleaned_data["region_row"],
            server_name=self.cleaned_data["server_name"],
            addon_prices=tuple(self.cleaned_data["addon_prices"]),
            promotion=self.offer.promotion_of(self.cleaned_data["plan_price"]),
        )
        return OrderRequest(
            [item],
            is_auto_renewed=self.cleaned_data.get("is_auto_renewed", False),
            uses_credit=self.cleaned_data.get("uses_credit", False),
            coupon_use=self.coupon_use[0],
        )

    def is_checked(self, name: str) -> bool:
        """Whether a checkbox is there and checked by the present choices."""
        return name in self.fields and bool(self[name].value())

    def credit_for(self, order_quote: Quote) -> Money:
        """What of the quote credit pays by the present choices, as `credit.use_credit` will take it."""
        nothing = Money.zero(order_quote.currency)
        if not self.balance or not self.is_checked("uses_credit"):
            return nothing
        prices = [line.price for line in order_quote.lines if line.price]
        is_auto_renewed = self.is_checked("is_auto_renewed")
        has_gateway_prices = is_auto_renewed and not order_quote.discounts
        if has_gateway_prices and gateway_accounts.billing_mode_for(prices) == BillingMode.GATEWAY:
            return nothing
        least = credit.least_amount(order_quote.currency, is_auto_renewed=is_auto_renewed)
        return credit.usable_credit(
            order_quote.due_today, balance=self.balance, least=least, is_auto_renewed=is_auto_renewed
        )

    @cached_property
    def priced_item(self) -> PricedItem | None:
        """The present choices, None until a plan and term that go together are chosen."""
        price = self.offer.price(self.chosen("plan"), self.chosen("term"))
        if price is None:
            return None
        data = cast("QueryDict", self.data)
        codes = set(data.getlist("addons") if self.is_bound else self.initial.get("addons", []))
        addons = [addon for addon in self.offer.addons(price.term) if addon.addon.code in codes]
        return PricedItem(price, addons, self.offer.promotion_of(price))

    @cached_property
    def coupon_use(self) -> tuple[CouponUse | None, str]:
        """The coupon for the present choices, and why what was typed is none."""
        code = self.chosen("coupon").strip()
        if not code or self.priced_item is None:
            return None, ""
        try:
            token = self.chosen("form_token")
            form_token = UUID(token) if UUID_TEXT.fullmatch(token) else None
            return self.find_coupon(code, [self.priced_item], form_token), ""
        except CouponRefused as error:
            return None, str(error)

    def quote(self) -> Quote | None:
        """What the present choices cost."""
        return quotes([self.priced_item], self.coupon_use[0])[0] if self.priced_item else None


def addon_label(price: AddonPrice) -> str:
    """An add-on with its price and what that is paid for."""
    return f"{price.addon.name} (+{price.unit_price} / {period_name(Term(price.term))})"


def initial_choices(offer: Offer, requested: QueryDict) -> dict[str, Any]:
    """What an untouched form shows: what the address asks for, else the first that is available."""
    plans = offer.plans()
    available = [row for row in plans if row.is_available] or plans
    code = requested.get("plan") or (available[0].plan.code if available else "")
    regions = [row for row in offer.regions if offer.is_available(code, row)] or list(offer.regions)
    term = requested.get("term") or (Term.MONTHLY if Term.MONTHLY in offer.terms else next(iter(offer.terms), ""))
    return {
        "plan": code,
        "region": requested.get("region") or (regions[0].code if regions else ""),
        "term": str(term),
        "addons": requested.getlist("addons"),
        # An unchecked box is not sent, but the billing cycle is: without it, nothing was chosen yet.
        "is_auto_renewed": (
            bool(requested.get("is_auto_renewed"))
            if "term" in requested
            else site_settings.get("orders.auto_renew_by_default")
        ),
        "uses_credit": bool(requested.get("uses_credit")) if "term" in requested else True,
        "server_name": requested.get("server_name", ""),
        "coupon": requested.get("coupon", ""),
        "form_token": requested.get("form_token") or uuid4(),
    }
