"""The configurator's form: what the customer chooses, checked against what is for sale now."""

import re
from typing import Any, cast
from uuid import UUID, uuid4

from django import forms
from django.forms.boundfield import BoundWidget
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from billing import credit, gateway_accounts
from billing.models import BillingMode
from catalog.models import PlanPrice, Term
from core import site_settings
from core.money import Money
from orders.placement import ItemRequest, OrderRequest
from orders.quote import Quote, quote
from orders.storefront.offers import Offer, period_name
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
    form_token = forms.UUIDField(widget=forms.HiddenInput)
    # Ids of the prices that the page showed; the page writes this field itself, with the prices that it shows now.
    shown_prices = forms.CharField(required=False, max_length=20_000)

    def __init__(self, *args: Any, offer: Offer, balance: Money | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer, self.balance = offer, balance
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
            "term": [(term.value, term.label) for term in offer.terms],
            "addons": [(price.addon.code, f"{price.addon.name} (+{price.unit_price})") for price in addons],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]

    @property
    def region_choices(self) -> list[tuple[BoundWidget, Region]]:
        """Each input of a region, with the region."""
        return list(zip(self["region"], self.offer.regions, strict=True))

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
        if not self.errors:
            self.refuse_unseen_prices(cleaned)
        return cleaned

    def refuse_unseen_prices(self, cleaned: dict[str, Any]) -> None:
        """Show a price that rose since the page was opened beside its field: sending the form again agrees to it."""
        shown = {UUID(text) for text in cleaned["shown_prices"].split() if UUID_TEXT.fullmatch(text)}
        for price in (cleaned["plan_price"], *cleaned["addon_prices"]):
            field, item = ("plan", price.plan) if isinstance(price, PlanPrice) else ("addons", price.addon)
            same = {"term": price.term, "currency": price.currency}
            before = item.prices.filter(pk__in=shown, **same).order_by("-offered_at").first()
            if before is not None:
                # The first payment includes the setup fee that a plan may have.
                setup_fee, setup_fee_before = (getattr(row, "setup_fee_minor", 0) for row in (price, before))
                if price.unit_price.minor <= before.unit_price.minor and setup_fee <= setup_fee_before:
                    continue
            values = {"name": item.name, "price": price.unit_price, "period": period_name(Term(price.term))}
            if before is None or price.unit_price == before.unit_price:
                text = _(
                    "%(name)s costs %(price)s / %(period)s now. "
                    "Check the summary, then continue to order at this price."
                )
            else:
                values["before"] = before.unit_price
                text = _(
                    "The price of %(name)s has changed from %(before)s to %(price)s / %(period)s. "
                    "Continue again to order at the new price."
                )
            self.add_error(field, str(text) % values)

    @property
    def order_request(self) -> OrderRequest:
        """The checked form as a request; only after `is_valid()`."""
        item = ItemRequest(
            plan_price=self.cleaned_data["plan_price"],
            region=self.cleaned_data["region_row"],
            server_name=self.cleaned_data["server_name"],
            addon_prices=tuple(self.cleaned_data["addon_prices"]),
        )
        return OrderRequest(
            [item],
            is_auto_renewed=self.cleaned_data.get("is_auto_renewed", False),
            uses_credit=self.cleaned_data.get("uses_credit", False),
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
        if is_auto_renewed and gateway_accounts.billing_mode_for(prices) == BillingMode.GATEWAY:
            return nothing
        least = credit.least_amount(order_quote.currency, is_auto_renewed=is_auto_renewed)
        return credit.usable_credit(
            order_quote.due_today, balance=self.balance, least=least, is_auto_renewed=is_auto_renewed
        )

    def quote(self) -> Quote | None:
        """What the present choices cost, None until a plan and term that go together are chosen."""
        price = self.offer.price(self.chosen("plan"), self.chosen("term"))
        if price is None:
            return None
        data = cast("QueryDict", self.data)
        codes = set(data.getlist("addons") if self.is_bound else self.initial.get("addons", []))
        addons = [addon for addon in self.offer.addons(price.term) if addon.addon.code in codes]
        return quote(plan_price=price, addon_prices=addons)


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
        "form_token": requested.get("form_token") or uuid4(),
    }
