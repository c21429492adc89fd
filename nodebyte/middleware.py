"""The content security policy of every response."""

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
