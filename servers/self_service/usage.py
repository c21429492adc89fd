"""The page of what a server used: the last hour, day or week."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.permissions import Action
from core import clock
from servers.live import history
from servers.self_service.pages import render_section, server_in


@login_required
@require_safe
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Charts of the chosen time, the last day unless another was chosen."""
    server = server_in(request, "usage", pk, Action.SERVER_VIEW)
    asked = request.GET.get("span")
    chosen = history.Span(asked) if asked in history.LABELS else history.Span.DAY
    context = {
        "history": history.chart(server, chosen, at=clock.now()),
        "usage_spans": [(span.value, label, span == chosen) for span, label in history.LABELS.items()],
    }
    return render_section(request, server, "servers/usage_history.html", context, section="usage")
