"""The form of a change: plan, billing cycle, add-ons and freely chosen sizes of a server."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from catalog.models import AddonPrice, PlanPrice, Term
from core import formats
from orders.changes.offers import ChangeOffer, NotSoldSo
from orders.changes.quoting import Selection
from orders.storefront.item_form import UNITS, addon_label, units_field
from orders.storefront.offers import period_name


class ChangeForm(forms.Form):
    """What the server is to be. It begins with what it is."""

    plan = forms.ChoiceField(label=_("Plan"), widget=forms.RadioSelect)
    term = forms.ChoiceField(label=_("Billing cycle"), widget=forms.RadioSelect)
    addons = forms.MultipleChoiceField(label=_("Add-ons"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, offer: ChangeOffer, **kwargs: Any) -> None:
        addons = [price for price in offer.addons() if offer.max_units(price.addon) == 1]
        sized = [price for price in offer.addons() if price not in addons]
        kwargs["initial"] = {
            "plan": offer.plan_price.plan.code,
            "term": offer.subscription.term,
            "addons": [price.addon.code for price in addons if offer.units_of(price.addon)],
            **{UNITS + price.addon.code: offer.units_of(price.addon) for price in sized},
        }
        super().__init__(*args, **kwargs)
        self.offer = offer
        choices: dict[str, list[tuple[str, Any]]] = {
            "plan": [(price.plan.code, self.plan_label(price)) for price in offer.plans()],
            "term": [(term.value, self.term_label(term)) for term in offer.terms],
            "addons": [(price.addon.code, addon_label(price)) for price in addons],
        }
        for name, options in choices.items():
            cast("forms.ChoiceField", self.fields[name]).choices = options
        if not addons:
            del self.fields["addons"]
        for price in sized:
            self.fields[UNITS + price.addon.code] = self.units_field(price)

    def units_field(self, sold: AddonPrice) -> forms.IntegerField:
        """How many of an add-on there are to be, at the price that one more has today."""
        price = self.offer.further_price(sold.addon) or sold
        field = units_field(price, self.offer.max_units(sold.addon))
        paid = {row.unit_price for row in self.offer.sold_addons if row.addon_id == sold.addon_id}
        if paid - {price.unit_price}:
            kept = _("What you have already keeps its price.")
            field.help_text = f"{field.help_text}. {kept}"
        return field

    def plan_label(self, price: PlanPrice) -> str:
        """A plan with its size, its price, and what that is more or less than the present one."""
        plan, own = price.plan, self.offer.plan_price
        values = {
            "plan": plan.name,
            "memory": formats.size(plan.memory_mib),
            "disk": formats.size(plan.disk_mib),
            "price": price.unit_price,
            "period": period_name(Term(price.term)),
        }
        if plan == own.plan:
            return _("%(plan)s: %(memory)s memory, %(disk)s disk. Your plan, %(price)s / %(period)s") % values
        text = _("%(plan)s: %(memory)s memory, %(disk)s disk. %(price)s / %(period)s") % values
        if price.term != own.term or price.amount == own.amount or price.term == Term.HOURLY:
            return text
        is_more = price.amount > own.amount
        values = {"text": text, "more": price.amount - own.amount, "less": own.amount - price.amount}
        return (_("%(text)s (%(more)s more)") if is_more else _("%(text)s (%(less)s less)")) % values

    def term_label(self, term: Term) -> str:
        """A billing cycle with what the present plan costs for it, where it is sold so."""
        own = self.offer.plan_price
        for price in (own, *self.offer.plan_prices):
            if (price.plan_id, price.term) == (own.plan_id, term):
                values = {"term": term.label, "price": price.unit_price, "period": period_name(term)}
                return _("%(term)s (your plan: %(price)s / %(period)s)") % values
        return str(term.label)

    def clean(self) -> dict[str, Any]:
        """Look up the prices of what was chosen."""
        cleaned = super().clean() or self.cleaned_data
        if "plan" in cleaned and "term" in cleaned:
            sized = {name.removeprefix(UNITS): cleaned.get(name) or 0 for name in self.fields if name.startswith(UNITS)}
            units = sized | dict.fromkeys(cleaned.get("addons", []), 1)
            try:
                cleaned["selection"] = self.offer.selection(plan=cleaned["plan"], term=cleaned["term"], units=units)
            except NotSoldSo as error:
                text = _("%(name)s is not sold with this billing cycle. Choose another one.")
                self.add_error("term", text % {"name": error.name})
        return cleaned

    @property
    def selection(self) -> Selection:
        """What was chosen; only where the form is valid."""
        return cast("Selection", self.cleaned_data["selection"])
