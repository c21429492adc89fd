"""The affiliate's page: their link, what it brought, what they earned, and moving it to the wallet."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Organization
from accounts.permissions import Access, Action
from billing.models import AccountKind, LedgerAccount
from core import clock, site_settings
from core.money import Money
from orders.affiliates import commissions
from orders.affiliates.links import PARAMETER
from orders.affiliates.models import Affiliate, AffiliateClicks, Referral, ReferralStatus

PER_PAGE = 25


def organization_for(request: HttpRequest, action: Action) -> Organization:
    """The current organization, where the shop has affiliates and the user may do the action. Http404 else."""
    access: Access = request.access  # type: ignore[attr-defined]
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    if organization is None or not site_settings.get("affiliates.are_enabled") or not access.may(action, organization):
        raise Http404
    return organization


@login_required
@require_safe
def affiliate(request: HttpRequest) -> HttpResponse:
    """The affiliate's page; for who is none, what it is and how to become one."""
    organization = organization_for(request, Action.WALLET_VIEW)
    found = Affiliate.objects.filter(organization=organization).first()
    context = {
        "affiliate": found,
        "percent": site_settings.get("affiliates.percent"),
        "hold_days": site_settings.get("affiliates.hold_days"),
        "cookie_days": site_settings.get("affiliates.cookie_days"),
    }
    if found is not None:
        referrals = Referral.objects.filter(affiliate=found)
        pending = referrals.filter(status=ReferralStatus.PENDING).order_by("currency").values("currency")
        on_hold = pending.annotate(minor=Sum("commission_minor"))
        accounts = LedgerAccount.objects.filter(organization=organization, kind=AccountKind.COMMISSION)
        earned = [Money(row.balance_minor, row.currency) for row in accounts.order_by("currency") if row.balance_minor]
        currency = organization.currency if organization.currency_fixed_at or not earned else earned[0].currency
        context |= {
            "link": f"{settings.SITE_URL}{reverse('home')}?{PARAMETER}={found.code}",
            "link_use": AffiliateClicks.objects.filter(affiliate=found).aggregate(
                clicks=Sum("count", default=0), sign_ups=Sum("sign_ups", default=0)
            ),
            "conversions": referrals.aggregate(count=Count("pk", filter=~Q(status="refused")))["count"],
            "on_hold": [Money(row["minor"], row["currency"]) for row in on_hold],
            "available": [(amount, commissions.in_wallet(amount, currency)) for amount in earned if amount.minor > 0],
            "taken_back": [-amount for amount in earned if amount.minor < 0],
            "page_obj": Paginator(referrals, PER_PAGE).get_page(request.GET.get("page")),
        }
    return render(request, "affiliates/affiliate.html", context)


@login_required
@require_POST
def join(request: HttpRequest) -> HttpResponse:
    """Become an affiliate; twice is harmless."""
    organization = organization_for(request, Action.WALLET_TOP_UP)
    commissions.join(organization=organization, actor=request.user)  # type: ignore[arg-type]
    return redirect("affiliates:affiliate")


@login_required
@require_POST
def pay_out(request: HttpRequest) -> HttpResponse:
    """Move what was earned to the wallet."""
    organization = organization_for(request, Action.WALLET_TOP_UP)
    found = get_object_or_404(Affiliate, organization=organization)
    payouts = commissions.pay_out(affiliate=found, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    if payouts:
        amounts = ", ".join(str(payout.paid) for payout in payouts)
        messages.success(request, _("%(amounts)s is in your wallet now.") % {"amounts": amounts})
    return redirect("affiliates:affiliate")
