"""What a new shop still needs until its first sale, for the staff start page. Each step looks at the rows it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing import gateway_accounts
from billing.models import GatewayAccount
from catalog.models import Plan, PlanPrice
from core import site_settings
from core.models import Setting
from orders.models import Order
from servers.models import Blueprint, Location, Node, Provider


@dataclass(frozen=True)
class SetupStep:
    """One thing to do, and where; `url` is empty for what is set outside the admin."""

    label: str | Promise
    is_done: bool
    url: str


def is_set(key: str) -> bool:
    """Whether somebody gave the setting a value of its own."""
    return Setting.objects.filter(key=key, value__isnull=False).exists()


def takes_payments() -> bool:
    """Whether a gateway account takes the shop's currency."""
    currency = site_settings.get("shop.currency")
    accounts = [account for account in GatewayAccount.objects.filter(is_active=True) if account.takes(currency)]
    return any(not gateway_accounts.problem_of(account) for account in accounts)


def has_price() -> bool:
    """Whether a plan is for sale in the shop's currency."""
    current = PlanPrice.objects.filter(
        plan=OuterRef("pk"), currency=site_settings.get("shop.currency"), superseded_at__isnull=True
    )
    return Plan.objects.filter(Exists(current), is_active=True, product__is_active=True).exists()


def sends_email() -> bool:
    """Whether e-mails leave this machine: without EMAIL_URL they are only printed."""
    mailer: dict[str, object] = settings.MAILERS["delivery"]  # type: ignore[assignment]
    return not str(mailer["BACKEND"]).endswith("console.EmailBackend")


STEPS: tuple[tuple[str | Promise, Callable[[], Any], str], ...] = (
    (_("Name the shop"), lambda: is_set("shop.name"), "admin:core_setting_changelist"),
    (_("Connect a panel or a cloud"), Provider.objects.filter(is_active=True).exists, "admin:servers_provider_add"),
    (
        _("Enable a node to sell on"),
        Node.objects.filter(is_enabled=True, is_present=True).exists,
        "admin:servers_node_changelist",
    ),
    (
        _("Put its location into a region"),
        Location.objects.filter(region__is_active=True, is_active=True, is_present=True).exists,
        "admin:servers_location_changelist",
    ),
    (_("Offer a product with a plan and a price"), has_price, "admin:catalog_product_changelist"),
    (
        _("Say how its servers are built (blueprint)"),
        Blueprint.objects.filter(is_active=True, product__is_active=True).exists,
        "admin:servers_blueprint_changelist",
    ),
    (_("Take payments"), takes_payments, "admin:billing_gatewayaccount_changelist"),
    (_("Send e-mails (EMAIL_URL)"), sends_email, ""),
    (
        _("Say where customers can write"),
        lambda: site_settings.get("shop.support_email"),
        "admin:core_setting_changelist",
    ),
    (_("Link your terms"), lambda: site_settings.get("shop.terms_url"), "admin:core_setting_changelist"),
)


def setup_steps(_at: datetime) -> list[SetupStep]:
    """The steps, each done or not, and at last the first sale; nothing once there was one."""
    if Order.objects.filter(paid_at__isnull=False).exists():
        return []
    steps = [SetupStep(label, bool(is_done()), reverse(name) if name else "") for label, is_done, name in STEPS]
    return [*steps, SetupStep(_("Make the first sale"), is_done=False, url=reverse("home"))]
