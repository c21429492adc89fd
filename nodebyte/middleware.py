"""The content security policy of every response, and that no cache keeps what one user saw."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware import csp
from django.utils.csp import CSP, build_policy

from billing.gateways import base


class ContentSecurityPolicyMiddleware(csp.ContentSecurityPolicyMiddleware):
    """Django's. Where a view has no policy of its own, a form may also lead to the pages of the registered gateways."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Set the header."""
        if not hasattr(response, "_csp_config") and CSP.HEADER_ENFORCE not in response:
            policy: dict[str, Any] = dict(settings.SECURE_CSP)
            policy["form-action"] = [*policy["form-action"], *base.page_origins()]
            response.headers[str(CSP.HEADER_ENFORCE)] = build_policy(policy, csp.get_nonce(request))
        return super().process_response(request, response)


class PrivatePagesMiddleware:
    """Forbids caches to keep the pages of a signed-in user, unless a view says how long one may be kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and set the header."""
        response = self.get_response(request)
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated and not response.has_header("Cache-Control"):
            response.headers["Cache-Control"] = "private, no-store"
        return response
