"""Every view runs in one transaction, as a database role that sees what its user may see."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from allauth.account.middleware import AccountMiddleware
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import queries
from accounts.models import Membership
from core import tenancy
from core.tenancy import TenantContext

CURRENT = "organization"  # session key of the organization whose rows are listed and that owns what is created


class TenancyMiddleware:
    """Chooses the role of a request and runs its view with it. Last in the list, because it runs the view itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Django calls process_exception only for views that it runs itself; here we run them, so we call allauth's.
        self.allauth_response_to = AccountMiddleware(get_response).process_exception

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse:
        """Run the view in a tenant transaction; a `non_atomic_view` opens its own, with `tenant_transaction`."""
        set_tenant(request)
        is_non_atomic = getattr(view, "is_non_atomic", False)
        try:
            with nullcontext() if is_non_atomic else tenant_transaction(request):
                response: HttpResponse = view(request, *args, **kwargs)
                # A lazy template response runs its queries while it renders, so it is rendered in here.
                render = getattr(response, "render", None)
                response = render() if callable(render) else response
        except (ImmediateHttpResponse, ReauthenticationRequired) as error:
            response = self.allauth_response_to(request, error)
        return response


def set_tenant(request: HttpRequest) -> None:
    """Set `request.memberships`, `request.organization` and `request.tenant_context`. Runs before the role is set.

    The view decides the role; in the admin, the user does too.
    """
    memberships: list[Membership] = []
    if request.user.is_authenticated:
        memberships = list(queries.memberships_of(request.user))
    organizations = [membership.organization for membership in memberships]
    chosen = request.session.get(CURRENT) if memberships else None
    first = organizations[0] if organizations else None
    current = next((organization for organization in organizations if str(organization.pk) == chosen), first)
    match, role = request.resolver_match, tenancy.CUSTOMER
    if match and match.view_name.startswith(settings.TENANCY_SYSTEM_VIEWS):
        role = tenancy.WORKER
    elif match and match.app_names[:1] == ["admin"] and getattr(request.user, "is_staff", False):
        role = tenancy.STAFF
    request.memberships = memberships  # type: ignore[attr-defined]
    request.organization = current  # type: ignore[attr-defined]
    request.tenant_context = TenantContext(  # type: ignore[attr-defined]
        role, request.user.pk, tuple(organization.pk for organization in organizations)
    )


def tenant_transaction(request: HttpRequest) -> AbstractContextManager[TenantContext]:
    """A transaction that sees what this request may see."""
    context: TenantContext = request.tenant_context  # type: ignore[attr-defined]
    return tenancy.as_role(role=context.role, user_id=context.user_id, organizations=context.organizations)
