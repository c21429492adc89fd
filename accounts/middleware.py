"""Every request runs in one transaction, as a database role that sees what its user may see."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, ResolverMatch, get_resolver

from accounts.models import Membership, Role
from accounts.permissions import Access, Action
from core import tenancy
from core.tenancy import TenantContext

CURRENT = "organization"  # session key of the organization whose rows are listed and that owns what is created
FAILED = "_has_failed"  # set on a request whose view raised


class TenancyMiddleware:
    """Chooses the role of a request, and runs all that follows in its transaction: other middleware and the view.

    An answer that is an error rolls back what the request's transaction wrote. A customer's transaction writes nothing:
    an act of theirs is a transaction of its own (`tenancy.as_worker`), which was done as a whole or not at all.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in a tenant transaction; a `non_atomic_view` opens its own, with `tenant_transaction`."""
        try:
            match = get_resolver(getattr(request, "urlconf", None)).resolve(request.path_info)
        except Resolver404:
            return self.get_response(request)  # no view will run, and the page that says so asks the database nothing
        set_tenant(request, match)
        with tenancy.in_request(request.tenant_context):  # type: ignore[attr-defined]
            return self._answer(request, match)

    def _answer(self, request: HttpRequest, match: ResolverMatch) -> HttpResponse:
        if getattr(match.func, "is_non_atomic", False):
            return self.get_response(request)
        with tenant_transaction(request) as context:
            response = self.get_response(request)
            is_error = response.status_code >= 400 or getattr(request, FAILED, False)
            if is_error and context.role != tenancy.CUSTOMER:
                transaction.set_rollback(True)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """What a view wrote before it raised is rolled back, even where another middleware answers with a page."""
        setattr(request, FAILED, True)


def set_tenant(request: HttpRequest, match: ResolverMatch) -> None:
    """Set `request.access`, `request.organization` and `request.tenant_context`. Runs before the role is set.

    The view decides the role; in the admin, the user does too.
    """
    memberships: list[Membership] = []
    if request.user.is_authenticated:
        memberships = request.user.read_memberships
    organizations = [membership.organization for membership in memberships]
    chosen = request.session.get(CURRENT) if memberships else None
    first = organizations[0] if organizations else None
    current = next((organization for organization in organizations if str(organization.pk) == chosen), first)
    role = tenancy.CUSTOMER
    if match.view_name.startswith(settings.TENANCY_SYSTEM_VIEWS):
        role = tenancy.WORKER
    elif match.app_names[:1] == ["admin"] and getattr(request.user, "is_staff", False):
        role = tenancy.STAFF
    roles = {membership.organization_id: Role(membership.role) for membership in memberships}
    access = Access(request.user.pk, roles)
    request.access = access  # type: ignore[attr-defined]
    request.organization = current  # type: ignore[attr-defined]
    request.tenant_context = TenantContext(  # type: ignore[attr-defined]
        role,
        request.user.pk,
        organizations=(whole := access.organizations(Action.ORGANIZATION_VIEW)),
        partly=tuple(set(access.roles) - set(whole)),
    )


def tenant_transaction(request: HttpRequest) -> AbstractContextManager[TenantContext]:
    """A transaction that sees what this request may see."""
    context: TenantContext = request.tenant_context  # type: ignore[attr-defined]
    return tenancy.as_role(role=context.role, user_id=context.user_id, organizations=context.organizations)
