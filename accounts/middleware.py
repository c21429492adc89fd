"""Every view runs in one transaction bound to what its user may see."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from allauth.account.middleware import AccountMiddleware
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import queries
from accounts.models import Membership, Organization
from core import tenancy
from core.tenancy import Bound

CURRENT = "organization"  # the session's key for the organization that lists and new things belong to


class TenancyMiddleware:
    """Binds the view, chosen by who asks and what for; last in the list, since it runs the view itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Django shows middleware the exceptions of views that it runs itself; we run them, so allauth is asked by hand.
        self.answer_of_allauth = AccountMiddleware(get_response).process_exception

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse:
        """Run the view bound; a `non_atomic_view` binds its parts itself, with `bound(request)`."""
        prepare(request)
        is_in_steps = getattr(view, "is_in_steps", False)
        try:
            with nullcontext() if is_in_steps else bound(request):
                return _rendered(view(request, *args, **kwargs))
        except (ImmediateHttpResponse, ReauthenticationRequired) as question:
            answer: HttpResponse = self.answer_of_allauth(request, question)
            return answer


def prepare(request: HttpRequest) -> None:
    """Read, before the role narrows, who asks: `request.organization` and `request.memberships`."""
    memberships: list[Membership] = []
    if request.user.is_authenticated:
        memberships = list(queries.memberships_of(request.user))
    request.memberships = memberships  # type: ignore[attr-defined]
    request.organization = _current_organization(request, memberships)  # type: ignore[attr-defined]
    request.bound = _bound_of(request, memberships)  # type: ignore[attr-defined]


def bound(request: HttpRequest) -> AbstractContextManager[Bound]:
    """A transaction that sees what this request may see."""
    who: Bound = request.bound  # type: ignore[attr-defined]
    return tenancy.bind(role=who.role, user_id=who.user_id, organizations=who.organizations)


def _current_organization(request: HttpRequest, memberships: list[Membership]) -> Organization | None:
    chosen = request.session.get(CURRENT) if memberships else None
    own = [membership.organization for membership in memberships]
    return next((organization for organization in own if str(organization.pk) == chosen), own[0] if own else None)


def _bound_of(request: HttpRequest, memberships: list[Membership]) -> Bound:
    organizations = tuple(membership.organization_id for membership in memberships)
    return Bound(_role_of(request), request.user.pk, organizations)


def _role_of(request: HttpRequest) -> str:
    match = request.resolver_match
    name = match.view_name if match else ""
    if name.startswith(settings.TENANCY_SYSTEM_VIEWS):
        return tenancy.WORKER
    if match and match.app_names[:1] == ["admin"] and getattr(request.user, "is_staff", False):
        return tenancy.STAFF
    return tenancy.CUSTOMER


def _rendered(response: HttpResponse) -> HttpResponse:
    """Render a lazy template response while still bound."""
    render = getattr(response, "render", None)
    return render() if callable(render) else response
