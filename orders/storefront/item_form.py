"""The form of one server: what the customer chooses, checked against what is for sale now."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from django import forms
from django.forms.boundfield import BoundWidget
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts.models import SshKey
from catalog.models import MAX_UNITS, AddonPrice, Image, Kind, Plan, PlanPrice, Term
from core.money import Money, Rate
from orders.placement import ItemRequest
from orders.quote import PricedItem
from orders.storefront.offers import Offer, best_promotion, period_name
from servers.forms import NAME_TOO_SHORT, clean_server_name
from servers.models import Region

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UNITS = "units-"  # with the code of an add-on: how many of it
ITEM_FIELDS = ("plan", "image", "region", "term", "addons", "ssh_keys", "server_name")
PLAN_OUT_OF_STOCK = _("This plan is out of stock.")
OUT_OF_STOCK_HERE = _("Out of stock in this region. Choose another region or a smaller plan.")


class TermSelect(forms.RadioSelect):
    """The billing cycles. None of `unsold`, with which the chosen plan is not sold, can be chosen."""

    unsold: AbstractSet[str] = frozenset()

    def create_option(self, name: str, value: Any, label: Any, selected: bool, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001 Django's
        """See Django's."""
        is_unsold = value in self.unsold
        option = super().create_option(name, value, label, selected and not is_unsold, *args, **kwargs)
        if is_unsold:
            option["attrs"]["disabled"] = True
        return option


class ChoicesForm(forms.Form):
    """A form that shows what its present choices cost, also before it is sent."""

    def chosen(self, name: str) -> str:
        """The value that was sent, or the one the form began with."""
        value = self.data.get(name) if self.is_bound else None
        return str(value or self.initial.get(name, ""))


class ItemForm(ChoicesForm):
    """Plan, region, billing cycle, add-ons and name of one server."""

    plan = forms.ChoiceField(label=_("Plan"), widget=forms.RadioSelect)
    image = forms.ChoiceField(
        label=_("Operating system"),
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose an operating system.")},
    )
    region = forms.ChoiceField(
        label=_("Region"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a region."),
            "invalid_choice": _("This region is no longer available. Choose another region."),
        },
    )
    term = forms.ChoiceField(label=_("Billing cycle"), widget=TermSelect)
    addons = forms.MultipleChoiceField(label=_("Add-ons"), required=False, widget=forms.CheckboxSelectMultiple)
    ssh_keys = forms.MultipleChoiceField(
        label=_("SSH keys"),
        required=False,
        help_text=_("Who may sign in as root. Without one there is a password, which you can see once it runs."),
        error_messages={"invalid_choice": _("You no longer have one of these keys. Choose again.")},
        widget=forms.CheckboxSelectMultiple,
    )
    server_name = forms.CharField(
        label=_("Server name"),
        min_length=2,
        max_length=64,
        error_messages={"min_length": NAME_TOO_SHORT},
        help_text=_("Letters, digits, spaces, periods, hyphens and apostrophes. You can change it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, offer: Offer, ssh_keys: Sequence[SshKey] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer, self.own_keys = offer, ssh_keys if offer.product.kind == Kind.VPS else ()
        choices: dict[str, list[tuple[str, Any]]] = {
            "plan": [(row.plan.code, row.plan.name) for row in offer.plans()],
            "image": [(image.code, image.name) for image in offer.images_of(self.chosen("plan"))],
            "region": [(region.code, str(region)) for region in offer.regions],
            "ssh_keys": [(str(key.pk), key.name) for key in self.own_keys],
            "term": [(term.value, self.term_label(term)) for term in offer.terms],
            "addons": [
                (price.addon.code, addon_label(price))
                for price in offer.addons(self.chosen("term"))
                if price.addon.max_units == 1
            ],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]
        self.fields["term"].widget.unsold = {
            term.value for term in offer.terms if offer.price(self.chosen("plan"), term) is None
        }
        for name in ("image", "ssh_keys"):
            if not choices[name]:
                del self.fields[name]
        for price in offer.addons(self.chosen("term")):
            if price.addon.max_units > 1:
                self.fields[UNITS + price.addon.code] = units_field(price, price.addon.max_units)

    @property
    def region_choices(self) -> list[tuple[BoundWidget, Region]]:
        """Each input of a region, with the region."""
        return list(zip(self["region"], self.offer.regions, strict=True))

    def term_label(self, term: Term) -> str:
        """The term with what the chosen plan costs for it."""
        found = self.offer.term_offer(self.chosen("plan"), term)
        if found is None:
            return format_html('{} <span class="muted small">{}</span>', term.label, _("Not for this plan"))
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

    def clean_server_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["server_name"])

    def clean(self) -> dict[str, Any]:
        """Check that plan, term and region go together, and look up their rows."""
        cleaned = super().clean() or self.cleaned_data
        if "plan" in cleaned and "term" in cleaned:
            cleaned["plan_price"] = self.offer.price(cleaned["plan"], cleaned["term"])
            by_code = {price.addon.code: price for price in self.offer.addons(cleaned["term"])}
            codes = dict.fromkeys(cleaned.get("addons", []))  # each once, however often it was sent
            units = {code: cleaned.get(UNITS + code) or 0 for code in by_code} | dict.fromkeys(codes, 1)
            cleaned["addon_prices"] = [row for code, row in by_code.items() for _unit in range(units[code])]
            if cleaned["plan_price"] is None:
                self.add_error("term", _("This plan is not sold with this billing cycle."))
        if "plan" in cleaned and "region" in cleaned:
            region = next(row for row in self.offer.regions if row.code == cleaned["region"])
            cleaned["region_row"] = region
            if not self.offer.is_available(cleaned["plan"], region):
                plan = self.offer.plan(cleaned["plan"])
                is_sold_out = plan is not None and plan.stock == 0
                field, text = ("plan", PLAN_OUT_OF_STOCK) if is_sold_out else ("region", OUT_OF_STOCK_HERE)
                self.add_error(field, text)
        return cleaned

    def refuse_unseen_prices(self, shown: AbstractSet[UUID]) -> None:
        """Show a price beside its field that rose since the page was opened, which showed prices with these ids.

        Sending the form again agrees to it.
        """
        for price in dict.fromkeys([self.cleaned_data["plan_price"], *self.cleaned_data["addon_prices"]]):
            field, item = ("plan", price.plan) if isinstance(price, PlanPrice) else ("addons", price.addon)
            field = UNITS + item.code if UNITS + item.code in self.fields else field
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

    def promoted(self, price: PlanPrice | AddonPrice, shown: AbstractSet[UUID] | None = None) -> Money | Rate:
        """The price less its promotion: the one that it has now, or the best of those that the page showed."""
        if not isinstance(price, PlanPrice):
            return price.unit_price
        if shown is None:
            promotion = self.offer.promotion_of(price)
        else:
            promotion = best_promotion(price.plan.promotions.filter(pk__in=shown), price)
        return price.amount - promotion.off(price.amount) if promotion else price.unit_price

    @property
    def chosen_plan(self) -> Plan | None:
        """The chosen plan; None where no such plan is sold."""
        return self.offer.plan(self.chosen("plan"))

    @property
    def chosen_region(self) -> Region | None:
        """The chosen region; None where nothing is sold there."""
        return next((row for row in self.offer.regions if row.code == self.chosen("region")), None)

    @property
    def chosen_image(self) -> Image | None:
        """The chosen image; None where the plan has none."""
        images = self.offer.images_of(self.chosen("plan"))
        return next((image for image in images if image.code == self.chosen("image")), None)

    @property
    def item_request(self) -> ItemRequest:
        """The server of the checked form; only after `is_valid()`."""
        return ItemRequest(
            plan_price=self.cleaned_data["plan_price"],
            region=self.cleaned_data["region_row"],
            server_name=self.cleaned_data["server_name"],
            addon_prices=tuple(self.cleaned_data["addon_prices"]),
            promotion=self.offer.promotion_of(self.cleaned_data["plan_price"]),
            image=self.chosen_image,
            ssh_keys=[key.line for key in self.own_keys if str(key.pk) in self.cleaned_data.get("ssh_keys", ())],
        )

    @cached_property
    def priced_item(self) -> PricedItem | None:
        """The present choices, None until a plan and term that go together are chosen."""
        price = self.offer.price(self.chosen("plan"), self.chosen("term"))
        if price is None:
            return None
        data = cast("QueryDict", self.data)
        codes = set(data.getlist("addons") if self.is_bound else self.initial.get("addons", []))
        units = {row: self.units_of(row) or int(row.addon.code in codes) for row in self.offer.addons(price.term)}
        addons = [row for row, count in units.items() for _unit in range(count)]
        return PricedItem(price, addons, self.offer.promotion_of(price))

    def units_of(self, price: AddonPrice) -> int:
        """How many of an add-on with a unit price are chosen; none while what was sent is no such number."""
        text = self.chosen(UNITS + price.addon.code)
        is_within = price.addon.max_units > 1 and text.isdecimal() and len(text) <= len(str(MAX_UNITS))
        return int(text) if is_within and int(text) <= price.addon.max_units else 0

    @property
    def unit_fields(self) -> list[forms.BoundField]:
        """How many of each add-on with a unit price."""
        return [self[name] for name in self.fields if name.startswith(UNITS)]


def addon_label(price: AddonPrice) -> str:
    """An add-on with its price and what that is paid for."""
    return f"{price.addon.name} (+{price.unit_price} / {period_name(Term(price.term))})"


def units_field(price: AddonPrice, most: int) -> forms.IntegerField:
    """How many of an add-on with a unit price: a number, which a script shows as a slider too."""
    values = {"price": price.unit_price, "period": period_name(Term(price.term)), "most": most}
    refused = str(_("Enter a number from 0 to %(most)s.")) % values
    return forms.IntegerField(
        label=price.addon.name,
        help_text=str(_("+%(price)s / %(period)s for each, up to %(most)s")) % values,
        required=False,
        min_value=0,
        max_value=most,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), refused),
        widget=forms.NumberInput(attrs={"data-slider": "", "placeholder": "0"}),
    )


def item_choices(sent: QueryDict) -> list[tuple[str, str]]:
    """What was sent of one server, for an address or the cart."""
    names = [name for name in sent if name in ITEM_FIELDS or name.startswith(UNITS)]
    return [(name, str(value)) for name in names for value in sent.getlist(name)]


def ids_in(text: str) -> set[UUID]:
    """The ids in a text that a browser sent."""
    return {UUID(word) for word in text.split() if UUID_TEXT.fullmatch(word)}
