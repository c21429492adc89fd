"""The audit context of a request, and that it waits for no other system."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from core import audit
from core.client_address import client_ip
from core.outside import pages

USER_AGENT_LENGTH = 400


class AuditContextMiddleware:
    """Gives `core.audit` the user and the address of the request while it runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request inside its audit context."""
        agent = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
        context = audit.AuditContext(
            ip=client_ip(request), user_agent=agent, user=lambda: getattr(request, "user", None)
        )
        with audit.use_context(context):
            return self.get_response(request)


class OutsideCallsMiddleware:
    """Refuses calls to other systems in every view that is not marked with `outside.calls_outside`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request as a page."""
        with pages.page() as page:
            request.page = page  # type: ignore[attr-defined]
            return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponse], *_: object) -> None:
        """The view says whether it may call."""
        request.page.may_call = getattr(view, "may_call_outside", False)  # type: ignore[attr-defined]
