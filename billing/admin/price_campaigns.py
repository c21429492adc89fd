"""Price campaigns: who moves, what that brings, and announcing or canceling it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing import price_campaigns
from billing.models import CampaignStatus, PriceCampaign, PriceMove
from catalog.models import Term
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, StaffAction

PRODUCT = {"plan_price": ("plan__product", "plan"), "addon_price": ("addon",)}


def announce(campaign: PriceCampaign, context: ActionContext) -> str:
    """Tell the customers."""
    try:
        count = price_campaigns.announce(campaign=campaign, actor=context.user, at=context.at)
    except price_campaigns.CampaignRefused as error:
        raise ActionError(str(error)) from None
    return ngettext(
        "%(count)s subscription moves. Its customer is told by e-mail within minutes.",
        "%(count)s subscriptions move. Their customers are told by e-mail within minutes.",
        count,
    ) % {"count": count}


def cancel(campaign: PriceCampaign, context: ActionContext) -> str:
    """Undo it before its day."""
    try:
        price_campaigns.cancel(campaign=campaign, actor=context.user, at=context.at)
    except price_campaigns.CampaignRefused as error:
        raise ActionError(str(error)) from None
    return _("Canceled. Everybody keeps their price. Who was told of the new one is told that within minutes.")


@admin.register(PriceCampaign)
class PriceCampaignAdmin(ReadOnlyAdmin):
    """Subscribers of an earlier price move to the present one. A draft shows whom that concerns, and what it brings."""

    list_display = ("name", "status", "plan_price", "addon_price", "effective_at", "announced_at")
    list_filter = ("status",)
    list_select_related = ("plan_price", "addon_price")
    search_fields = ("name",)
    ordering = ("-effective_at",)
    addable = ("name", "plan_price", "addon_price", "sold_before", "effective_at")
    sections = (
        (None, ("name", "status", "sold_item", "plan_price", "addon_price", "sold_before")),
        (gettext_lazy("Dates"), ("effective_at", "announced_at")),
        (gettext_lazy("Preview"), ("who_moves", "before", "after", "difference")),
        (gettext_lazy("Details"), ("id", "created_at", "updated_at")),
    )
    staff_actions = (
        StaffAction(
            "announce",
            gettext_lazy("Announce"),
            announce,
            permissions=("billing.change_pricecampaign",),
            description=gettext_lazy(
                "Fixes who moves. Each customer is told by e-mail when the new price begins for them."
            ),
            is_available=lambda row: row.status == CampaignStatus.DRAFT,
            icon="campaign",
        ),
        StaffAction(
            "cancel",
            gettext_lazy("Cancel"),
            cancel,
            permissions=("billing.change_pricecampaign",),
            description=gettext_lazy("Before its day. Whoever was told of the new price is told that it stays."),
            is_available=lambda row: row.status != CampaignStatus.CANCELED,
            icon="undo",
            is_destructive=True,
        ),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Prices that are offered now, each with what it is the price of."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name in PRODUCT:
            prices = field.queryset.filter(superseded_at=None).exclude(term=Term.HOURLY)
            field.queryset = prices.select_related(*PRODUCT[db_field.name])
            field.label_from_instance = label_of
        return field

    @admin.display(description=gettext_lazy("price of"))
    def sold_item(self, campaign: PriceCampaign) -> str:
        """The plan or the add-on."""
        return label_of(campaign.price)

    @admin.display(description=gettext_lazy("who moves"))
    def who_moves(self, campaign: PriceCampaign) -> str:
        """How many subscriptions of how many customers."""
        found = preview_of(campaign)
        values = {"subscriptions": found.subscriptions, "customers": found.customers}
        return _("%(subscriptions)s subscriptions of %(customers)s customers") % values

    @admin.display(description=gettext_lazy("a month before"))
    def before(self, campaign: PriceCampaign) -> Any:
        """What they pay a month now."""
        return preview_of(campaign).before

    @admin.display(description=gettext_lazy("a month after"))
    def after(self, campaign: PriceCampaign) -> Any:
        """What they pay a month then."""
        return preview_of(campaign).after

    @admin.display(description=gettext_lazy("a month more"))
    def difference(self, campaign: PriceCampaign) -> Any:
        """What a month brings more."""
        return preview_of(campaign).difference


def preview_of(campaign: PriceCampaign) -> price_campaigns.Preview:
    """What the campaign does, counted once for the page's four columns."""
    if "preview" not in campaign.__dict__:
        campaign.__dict__["preview"] = price_campaigns.preview(campaign)
    found: price_campaigns.Preview = campaign.__dict__["preview"]
    return found


def label_of(price: Any) -> str:
    """ "Minecraft 4 GB: $8.00, Monthly"."""
    sold = f"{price.plan.product.name} {price.plan.name}" if hasattr(price, "plan") else price.addon.name
    return f"{sold}: {price}"


@admin.register(PriceMove)
class PriceMoveAdmin(ReadOnlyAdmin):
    """Who was told when, and from when on they pay the new price."""

    list_display = ("organization", "item", "campaign", "notified_at", "begins_at", "applied_at", "canceled_at")
    list_filter = ("campaign",)
    list_select_related = ("organization", "item", "campaign")
    search_fields = ("organization__name", "campaign__name")
    date_hierarchy = "begins_at"
    ordering = ("-created_at",)
