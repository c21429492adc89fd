"""The configurator's form: what the customer chooses, checked against what is for sale now."""

from typing import Any, cast
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from catalog.models import PlanPrice, Term
from orders.offers import Offer
from orders.quote import Quote, quote
from orders.services import OrderRequest
from servers.forms import clean_server_name


class ConfigureForm(forms.Form):
    """Plan, term, region, name and add-ons of one server."""

    plan = forms.ChoiceField(label=_("Size"), widget=forms.RadioSelect)
    location = forms.ChoiceField(
        label=_("Region"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose where the server shall stand."),
            "invalid_choice": _("Nothing is sold in that region just now. Choose another region."),
        },
    )
    term = forms.ChoiceField(label=_("Pay"), widget=forms.RadioSelect)
    addons = forms.MultipleChoiceField(label=_("Add to it"), required=False, widget=forms.CheckboxSelectMultiple)
    server_name = forms.CharField(
        label=_("Server name"),
        min_length=2,
        max_length=64,
        help_text=_("Letters, digits, spaces and . - ' ; you can change it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    form_token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, offer: Offer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer = offer
        self._choices("plan", [(plan.code, plan.name) for plan in offer.plans()])
        self._choices("location", [(location.code, str(location)) for location in offer.locations])
        self._choices("term", [(term.value, term.label) for term in offer.terms])
        self._choices("addons", self._addon_choices())
        self.fields["addons"].required = False

    def _choices(self, name: str, choices: list[tuple[str, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def _addon_choices(self) -> list[tuple[str, str]]:
        term = self.chosen("term")
        return [(price.addon.code, f"{price.addon.name} (+{price.amount})") for price in self.offer.addons(term)]

    def chosen(self, name: str) -> str:
        """The value as the visitor sent it, or the one the form began with."""
        value = self.data.get(name) if self.is_bound else None
        return str(value or self.initial.get(name, ""))

    def clean_server_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["server_name"])

    def clean(self) -> dict[str, Any]:
        """Check that the choices go together and that there is room."""
        cleaned = super().clean() or self.cleaned_data
        if "plan" in cleaned and "term" in cleaned:
            self._clean_price(cleaned)
        if "plan" in cleaned and "location" in cleaned:
            self._clean_room(cleaned)
        return cleaned

    def _clean_price(self, cleaned: dict[str, Any]) -> None:
        cleaned["plan_price"] = self.offer.price(cleaned["plan"], cleaned["term"])
        if cleaned["plan_price"] is None:
            self.add_error("term", _("This size is not sold for that term."))
        by_code = {price.addon.code: price for price in self.offer.addons(cleaned["term"])}
        wanted = dict.fromkeys(cleaned.get("addons", []))  # each once, however often it was sent
        cleaned["addon_prices"] = [by_code[code] for code in wanted if code in by_code]

    def _clean_room(self, cleaned: dict[str, Any]) -> None:
        location = next(place for place in self.offer.locations if place.code == cleaned["location"])
        cleaned["location_row"] = location
        if not self.offer.has_room(cleaned["plan"], location):
            self.add_error("location", no_room_message())

    @property
    def choice(self) -> OrderRequest:
        """The checked choice; only after `is_valid()`."""
        price: PlanPrice = self.cleaned_data["plan_price"]
        blueprint = self.offer.blueprint(price.plan)
        if blueprint is None:
            raise LookupError(f"plan {price.plan.code} has no blueprint")
        return OrderRequest(
            plan_price=price,
            location=self.cleaned_data["location_row"],
            blueprint=blueprint,
            server_name=self.cleaned_data["server_name"],
            addon_prices=tuple(self.cleaned_data["addon_prices"]),
        )

    def quote(self) -> Quote | None:
        """What the present choices cost, None until a plan and term that go together are chosen."""
        price = self.offer.price(self.chosen("plan"), self.chosen("term"))
        if price is None:
            return None
        data = cast("QueryDict", self.data)
        wanted = set(data.getlist("addons") if self.is_bound else self.initial.get("addons", []))
        addons = [addon for addon in self.offer.addons(price.term) if addon.addon.code in wanted]
        return quote(plan_price=price, addon_prices=addons)


def no_room_message() -> Any:
    """What is said where a size does not fit any more."""
    return _("This region has no room for that size just now. Another region or a smaller size may have.")


def initial_choice(offer: Offer, asked: Any) -> dict[str, Any]:
    """What an untouched form shows: what the address asked for, else the first that is available."""
    plans = offer.plans()
    available = [plan for plan in plans if plan.is_available] or plans
    code = asked.get("plan") or (available[0].code if available else "")
    places = [place for place in offer.locations if offer.has_room(code, place)] or list(offer.locations)
    term = asked.get("term") or (Term.MONTHLY if Term.MONTHLY in offer.terms else next(iter(offer.terms), ""))
    return {
        "plan": code,
        "location": asked.get("location") or (places[0].code if places else ""),
        "term": str(term),
        "addons": asked.getlist("addons"),
        "server_name": asked.get("server_name", ""),
        "form_token": asked.get("form_token") or uuid4(),
    }
