"""The admin site: signed in through the shop's own pages, with its own content security policy, colours and menu."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.csp import CSP
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csp import csp_override
from unfold.sites import UnfoldAdminSite

from core import clock, site_settings

# unfold's Alpine evaluates expressions and unfold writes styles into its pages; nothing comes from another host.
STAFF_CSP: dict[str, Any] = settings.SECURE_CSP | {
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "form-action": [CSP.SELF],
}


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]
    """Only for staff: visitors are sent to the shop's sign-in, customers get a 404."""

    site_title = _("Staff")
    site_header = _("Staff")
    index_title = _("Today")
    index_template = "admin/start.html"
    empty_value_display = "–"

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., HttpResponse]:  # noqa: FBT001, FBT002
        """Django's check, our content security policy, and a 404 for customers."""
        guarded: Callable[..., HttpResponse] = csp_override(STAFF_CSP)(super().admin_view(view, cacheable))

        @wraps(guarded)
        def admin_page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404
            return guarded(request, *args, **kwargs)

        return admin_page

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The shop's own sign-in, which throttles and verifies email addresses; back here afterwards."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise Http404
        home = reverse("admin:index", current_app=self.name)
        next_url = request.GET.get(REDIRECT_FIELD_NAME, "")
        is_safe = url_has_allowed_host_and_scheme(next_url, {request.get_host()}, request.is_secure())
        target = next_url if is_safe and next_url.startswith(home) else home
        if self.has_permission(request):
            return HttpResponseRedirect(target)
        return redirect_to_login(target, reverse("account_login"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The shop's own sign-out."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse("account_logout"))
        super().logout(request, extra_context)
        return HttpResponseRedirect(reverse("account_login"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The shop's own password page, which ends other sessions."""
        return HttpResponseRedirect(reverse("account_change_password"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The start page."""
        from nodebyte import overview

        context = {"overview": overview.overview(request.user, at=clock.now()), **(extra_context or {})}
        return super().index(request, context)  # type: ignore[no-any-return]

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Django's, the reports and the billing calendar."""
        from nodebyte import billing_calendar, reports

        calendar = self.admin_view(billing_calendar.page)
        return [
            path("calendar/", calendar, name="billing_calendar"),
            path("calendar.csv", calendar, {"extension": "csv"}, name="billing_calendar_csv"),
            path("reports/", self.admin_view(reports.index), name="reports"),
            path("reports/<slug:code>/", self.admin_view(reports.detail), name="report"),
            path("reports/<slug:code>.csv", self.admin_view(reports.detail), {"extension": "csv"}, name="report_csv"),
            *super().get_urls(),
        ]

    def _build_app_dict(self, request: HttpRequest, label: str | None = None) -> dict[str, Any]:
        """Django's, with titles as text: to sort lazy ones it would translate two of them for each comparison."""
        found: dict[str, Any] = super()._build_app_dict(request, label)
        for app in found.values():
            for each in app["models"]:
                each["name"] = str(each["name"])
        return found


def primary_colours(request: HttpRequest) -> dict[str, str]:
    """The shop's brand colour in unfold's eleven shades."""
    hue = site_settings.get("shop.brand_hue")
    return {shade: f"oklch({light}% {chroma} {hue})" for shade, (light, chroma) in SHADES.items()}


SHADES = {
    "50": ("97.5", ".016"),
    "100": ("95", ".03"),
    "200": ("90", ".06"),
    "300": ("82", ".1"),
    "400": ("74", ".13"),
    "500": ("68", ".16"),  # the chosen entry of the menu in the dark theme: 4.5:1 on its grey
    "600": ("51", ".19"),
    "700": ("45", ".19"),
    "800": ("39", ".16"),
    "900": ("33", ".13"),
    "950": ("25", ".09"),
}


def shop_name(request: HttpRequest) -> str:
    """The shop's name."""
    return str(site_settings.get("shop.name"))


def stylesheet(request: HttpRequest) -> str:
    """The URL of our styles for the admin."""
    return static("css/staff.css")


def script(request: HttpRequest) -> str:
    """The URL of our script for the admin."""
    return static("js/staff.js")


def favicon(request: HttpRequest) -> str:
    """The URL of the shop's icon."""
    return static("favicon.svg")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu, without entries that the user may not view, and without groups left empty."""
    groups: list[dict[str, Any]] = [
        {"items": [{"title": _("Today"), "icon": "dashboard", "link": reverse("admin:index")}]}
    ]
    if request.user.has_perm("billing.view_posting"):
        groups[0]["items"].append({"title": _("Reports"), "icon": "bar_chart", "link": reverse("admin:reports")})
    if request.user.has_perm("billing.view_run"):
        calendar = {"title": _("Billing calendar"), "icon": "event", "link": reverse("admin:billing_calendar")}
        groups[0]["items"].append(calendar)
    for title, entries in MENU:
        items = []
        for item_title, icon, model in entries:
            app, _dot, name = model.partition(".")
            if request.user.has_perm(f"{app}.view_{name}"):
                url = reverse(f"admin:{app}_{name}_changelist")  # a lazy one is worked out at each comparison
                items.append({"title": item_title, "icon": icon, "link": url})
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


MENU: tuple[tuple[Any, tuple[tuple[Any, ...], ...]], ...] = (
    (
        _("Sales"),
        (
            (_("Orders"), "shopping_cart", "orders.order"),
            (_("Plan changes"), "swap_vert", "orders.planchange"),
            (_("Subscriptions"), "autorenew", "billing.subscription"),
            (_("Invoices"), "receipt_long", "billing.invoice"),
            (_("Payments"), "payments", "billing.payment"),
            (_("Refunds"), "undo", "billing.refund"),
            (_("Disputes"), "gavel", "billing.dispute"),
            (_("Credit grants"), "redeem", "billing.creditgrant"),
            (_("Automatic top-ups"), "published_with_changes", "billing.autotopup"),
            (_("Unexplained items"), "help", "billing.unexplaineditem"),
            (_("Affiliates"), "diversity_3", "orders.affiliate"),
            (_("Referrals"), "person_add", "orders.referral"),
            (_("Commission payouts"), "redeem", "orders.commissionpayout"),
        ),
    ),
    (
        _("Infrastructure"),
        (
            (_("Servers"), "dns", "servers.server"),
            (_("Nodes"), "memory", "servers.node"),
            (_("Regions"), "map", "servers.region"),
            (_("Locations"), "public", "servers.location"),
            (_("Allocations"), "lan", "servers.allocation"),
            (_("Reservations"), "event_seat", "servers.reservation"),
            (_("Providers"), "cloud", "servers.provider"),
            (_("Blueprints"), "architecture", "servers.blueprint"),
            (_("Eggs"), "egg", "servers.egg"),
            (_("Drift findings"), "difference", "servers.driftfinding"),
            (_("Servers at providers"), "cloud_sync", "servers.remoteserverseen"),
            (_("Accounts at providers"), "group", "servers.remoteaccountseen"),
            (_("Sync runs"), "sync", "servers.syncrun"),
            (_("Imports of servers"), "move_to_inbox", "orders.serverimport"),
        ),
    ),
    (
        _("Catalog"),
        (
            (_("Products"), "category", "catalog.product"),
            (_("Plans"), "inventory_2", "catalog.plan"),
            (_("Add-ons"), "extension", "catalog.addon"),
            (_("Images"), "album", "catalog.image"),
            (_("Promotions"), "sell", "catalog.promotion"),
            (_("Coupons"), "confirmation_number", "catalog.coupon"),
            (_("Price campaigns"), "trending_up", "billing.pricecampaign"),
            (_("Price moves"), "swap_horiz", "billing.pricemove"),
        ),
    ),
    (
        _("Customers and staff"),
        (
            (_("Users"), "person", "accounts.user"),
            (_("Organizations"), "groups", "accounts.organization"),
            (_("Roles"), "admin_panel_settings", "auth.group"),
        ),
    ),
    (
        _("Accounting"),
        (
            (_("Journal entries"), "menu_book", "billing.journalentry"),
            (_("Ledger accounts"), "account_balance", "billing.ledgeraccount"),
            (_("Ledger audits"), "fact_check", "billing.ledgeraudit"),
            (_("Gateway balances"), "balance", "billing.gatewaybalance"),
            (_("Billing runs"), "event_repeat", "billing.run"),
            (_("Reminders"), "notifications", "billing.reminder"),
            (_("Hours of use"), "schedule", "billing.usagecycle"),
        ),
    ),
    (
        _("Background work"),
        (
            (_("Gateway events"), "inbox", "billing.gatewayevent"),
            (_("Payment tasks"), "payments", "billing.paymenttask"),
            (_("Charge tasks"), "credit_card", "billing.chargetask"),
            (_("Refund tasks"), "undo", "billing.refundtask"),
            (_("Saved method tasks"), "credit_card_gear", "billing.methodtask"),
            (_("Key checks"), "vpn_key", "billing.keychecktask"),
            (_("Gateway cancel tasks"), "cancel", "billing.gatewaycanceltask"),
            (_("Provisioning tasks"), "construction", "servers.provisioningtask"),
            (_("Power tasks"), "power_settings_new", "servers.powertask"),
            (_("Deletions at providers"), "delete_forever", "servers.remotedeletion"),
            (_("Usage tasks"), "monitoring", "servers.usagetask"),
            (_("Usage samples"), "show_chart", "servers.usagesample"),
            (_("Deliveries"), "outgoing_mail", "support.delivery"),
        ),
    ),
    (
        _("System"),
        (
            (_("Settings"), "settings", "core.setting"),
            (_("Audit trail"), "history_edu", "core.auditentry"),
        ),
    ),
)
