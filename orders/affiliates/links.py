"""An affiliate's link: `?ref=CODE` on any page counts a click, is remembered in a cookie, and leaves the address."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.signals import user_signed_up
from django.db.models import F, Q
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.models import Organization, User
from core import clock, site_settings, tenancy
from orders.affiliates.models import CODE, Affiliate, AffiliateClicks

PARAMETER = COOKIE = "ref"
DAY_SECONDS = 24 * 3600


class AffiliateLinkMiddleware:
    """Remembers whose link a browser followed: the last one counts. The cookie holds the code and nothing else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The page without the code in its address, so that it is the same page for everybody."""
        if request.method != "GET" or PARAMETER not in request.GET:
            return self.get_response(request)
        left = [(name, value) for name, values in request.GET.lists() if name != PARAMETER for value in values]
        answer = redirect(request.path + (f"?{urlencode(left)}" if left else ""))
        code = request.GET[PARAMETER].lower()
        is_new = request.COOKIES.get(COOKIE) != code
        if is_new and record_click(code=code, at=clock.now()):
            seconds = DAY_SECONDS * site_settings.get("affiliates.cookie_days")
            is_secure = request.is_secure()
            answer.set_cookie(COOKIE, code, max_age=seconds, httponly=True, samesite="Lax", secure=is_secure)
        return answer


def record_click(*, code: str, at: datetime) -> bool:
    """Count a click on the link with this code; False where it is nobody's."""
    return count_on_day("count", code=code, at=at)


@receiver(user_signed_up)
def record_sign_up(request: HttpRequest, user: User, **_: Any) -> None:
    """Count a new user whose browser had followed somebody else's link."""
    count_on_day("sign_ups", code=request.COOKIES.get(COOKIE, ""), email=user.email, at=clock.now())


def count_on_day(column: str, *, code: str, email: str = "", at: datetime) -> bool:
    """Add one to the affiliate's column of the day; False where the code is nobody's.

    Nor is a new user counted whose `email` is a mailbox of the affiliate's own people.
    """
    if not re.fullmatch(CODE, code) or not site_settings.get("affiliates.are_enabled"):
        return False
    with tenancy.as_worker_without_row():
        affiliate = Affiliate.objects.filter(code=code, is_active=True).first()
        if affiliate is None:
            return False
        own = people_of(affiliate.organization_id).values() if email else ()
        if address_of(email) in map(address_of, own):
            return False
        today = AffiliateClicks.objects.filter(affiliate=affiliate, clicked_on=at.date())
        one_more = {column: F(column) + 1}
        if not today.update(**one_more):
            new = AffiliateClicks(
                affiliate=affiliate, organization_id=affiliate.organization_id, clicked_on=at.date(), count=0
            )
            AffiliateClicks.objects.bulk_create([new], ignore_conflicts=True)
            today.update(**one_more)
    return True


def affiliate_for(*, code: str, organization: Organization, user: User) -> Affiliate | None:
    """The affiliate whose link brought a new customer; None where there is none, or they refer themselves.

    The caller works as the worker.
    """
    if not re.fullmatch(CODE, code) or not site_settings.get("affiliates.are_enabled"):
        return None
    affiliate = Affiliate.objects.filter(code=code, is_active=True).first()
    if affiliate is None or affiliate.organization_id == organization.pk:
        return None
    theirs = people_of(affiliate.organization_id)
    ours = people_of(organization.pk) | {user.pk: user.email}
    is_same_person = bool(theirs.keys() & ours.keys())
    is_same_address = bool({address_of(email) for email in theirs.values()} & {address_of(e) for e in ours.values()})
    return None if is_same_person or is_same_address else affiliate


def people_of(organization_id: UUID) -> dict[UUID, str]:
    """The e-mail addresses of an organization's owner and members, by the user's id."""
    of_organization = Q(memberships__organization=organization_id) | Q(owned_organizations=organization_id)
    return dict(User.objects.filter(of_organization).values_list("pk", "email"))


def address_of(email: str) -> str:
    """The mailbox of an address, whatever is written after a plus sign."""
    name, _at, host = email.casefold().rpartition("@")
    return f"{name.partition('+')[0]}@{host}"
