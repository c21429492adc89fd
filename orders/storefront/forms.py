"""The configurator's form: one server, and how it is paid."""

from typing import Any
from uuid import uuid4

from django.http import QueryDict

from catalog.models import Term
from core import site_settings
from orders.quote import PricedItem
from orders.storefront.item_form import ITEM_FIELDS, UNITS, ItemForm
from orders.storefront.offers import Offer
from orders.storefront.payment_form import PaymentForm


class ConfigureForm(ItemForm, PaymentForm):
    """One server, and how it is paid and renewed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_hourly:
            self.fields.pop("is_auto_renewed", None)

    @property
    def is_renewal_wanted(self) -> bool:
        """Whether renewal is chosen, also while the billing cycle is one that knows none."""
        return bool(self.chosen("is_auto_renewed"))

    @property
    def priced_items(self) -> list[PricedItem]:
        """The server, once a plan and term that go together are chosen."""
        return [self.priced_item] if self.priced_item else []

    @property
    def item_errors(self) -> set[str]:
        """The fields of the server that have an error."""
        return {name for name in self.errors if name in ITEM_FIELDS or name.startswith(UNITS)}

    @property
    def priced_fields(self) -> str:
        """The names of what the price depends on, as htmx reads them."""
        units = [name for name in self.fields if name.startswith(UNITS)]
        priced = [name for name in ITEM_FIELDS if name not in {"ssh_keys", "server_name"}]
        return ",".join([*priced, *units, "coupon", "is_auto_renewed", "uses_credit"])

    def clean(self) -> dict[str, Any]:
        """The server's choices, then what they cost."""
        cleaned = super().clean()
        self.show_coupon_error()
        if not self.errors:
            self.refuse_unseen_prices(self.shown_ids)
            self.refuse_unpayable_rest()
        return cleaned


def initial_choices(offer: Offer, requested: QueryDict) -> dict[str, Any]:
    """What an untouched form shows: what the address asks for, else the first that is available."""
    plans = offer.plans()
    available = [row for row in plans if row.is_available] or plans
    code = requested.get("plan") or (available[0].plan.code if available else "")
    regions = [row for row in offer.regions if offer.is_available(code, row)] or list(offer.regions)
    images = {image.code: image for image in offer.images_of(code)}
    # The billing cycle that was chosen may be one that only another plan has.
    terms = [term for term in offer.terms if offer.price(code, term)] or offer.terms
    by_default = Term.MONTHLY if Term.MONTHLY in terms else next(iter(terms), "")
    term = requested.get("term") if requested.get("term") in terms else by_default
    return {
        "plan": code,
        "image": requested.get("image") if requested.get("image") in images else next(iter(images), ""),
        "region": requested.get("region") or (regions[0].code if regions else ""),
        "term": str(term),
        "addons": requested.getlist("addons"),
        "ssh_keys": requested.getlist("ssh_keys"),
        "server_name": requested.get("server_name", ""),
        **{name: str(requested[name]) for name in requested if name.startswith(UNITS)},
        # An unchecked box is not sent, but the billing cycle is: without it, nothing was chosen yet.
        **initial_payment(requested, is_chosen="term" in requested),
    }


def initial_payment(requested: QueryDict, *, is_chosen: bool) -> dict[str, Any]:
    """How an untouched form pays and renews: as the address says, or by the shop's settings where nothing is chosen."""
    by_default = {"is_auto_renewed": site_settings.get("orders.auto_renew_by_default"), "uses_credit": True}
    return {
        **{name: bool(requested.get(name)) if is_chosen else value for name, value in by_default.items()},
        "coupon": requested.get("coupon", ""),
        "form_token": requested.get("form_token") or uuid4(),
    }
