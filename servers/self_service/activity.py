"""Who did what with a server: what its customers may read of the audit trail.

Customers cannot read the trail itself. A worker reads the entries about this one server under its present
organization, of the acts that are named here; of what an entry keeps, only names are shown, no addresses or browsers.
Plain members who manage the server read names of people, and no e-mail addresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.models import Membership, User
from accounts.permissions import Action
from core import tenancy
from core.models import AuditEntry
from servers.models import Server
from servers.self_service.kinds import OPERATIONS
from servers.self_service.pages import render_section, server_in

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SHOWN = 60
SENTENCES: Mapping[str, "StrOrPromise"] = {
    "server.create": gettext_lazy("Ordered the server"),
    "server.rename": gettext_lazy("Renamed the server"),
    "server.power": gettext_lazy("Power"),
    "server.hold": gettext_lazy("Suspended the server"),
    "server.lift_hold": gettext_lazy("Lifted a suspension"),
    "server.resize": gettext_lazy("Changed the size of the server"),
    "server.retry": gettext_lazy("Tried the installation again"),
    "server.correct_variables": gettext_lazy("Corrected the settings of the game"),
    "server.delete": gettext_lazy("Had the server deleted"),
    "server.access": gettext_lazy("Changed who has access"),
    "server.show_password": gettext_lazy("Saw the root password"),
    # A console is opened again and again while somebody looks at it.
    **{f"server.{kind}": each.label for kind, each in OPERATIONS.items() if kind != "console.open"},
}
# What is shown of an entry's values: what things are called.
NAMES = ("name", "action")


@dataclass(frozen=True)
class Line:
    """One act, in words."""

    at: datetime
    who: str
    what: str
    detail: str
    outcome: str
    message: str


def activity_of(server: Server, *, are_addresses_shown: bool) -> list[Line]:
    """What was done with the server, the newest first. A member without a name is called by their e-mail address,
    where the reader may see that.
    """
    with tenancy.as_worker(server):
        entries = list(
            AuditEntry.objects.filter(
                entity_type=Server._meta.label_lower,
                entity_id=str(server.pk),
                organization_id=server.organization_id,
                action__in=SENTENCES,
            ).order_by("-id")[:SHOWN]
        )
        members = Membership.objects.filter(organization=server.organization_id).select_related("user")
        names = {each.user_id: _name(each.user, are_addresses_shown=are_addresses_shown) for each in members}
        others = User.objects.filter(pk__in=[each.actor_id for each in entries if each.actor_id])
        staff = set(others.filter(is_staff=True).values_list("pk", flat=True))
    return [_line(each, names, staff) for each in entries]


def _name(user: User, *, are_addresses_shown: bool) -> str:
    name = f"{user.first_name} {user.last_name}".strip()
    return name or (user.email if are_addresses_shown else _("A member"))


def _line(entry: AuditEntry, names: Mapping[UUID, str], staff: set[UUID]) -> Line:
    values: dict[str, Any] = entry.new or {}
    is_done = entry.outcome == "ok"
    return Line(
        at=entry.at,
        who=_who(entry.actor_id, names, staff),
        what=str(SENTENCES[entry.action]),
        detail=", ".join(str(values[name]) for name in NAMES if isinstance(values.get(name), str)),
        outcome="" if is_done else str(entry.outcome),
        message="" if is_done else entry.message,
    )


def _who(actor_id: UUID | None, names: Mapping[UUID, str], staff: set[UUID]) -> str:
    if actor_id is None:
        return _("Automatic")
    if actor_id in names:
        return names[actor_id]
    return _("Staff") if actor_id in staff else _("A former member")


@login_required
@require_safe
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What was done with the server lately."""
    server = server_in(request, "activity", pk, Action.SERVER_ACTIVITY)
    is_in_charge = not server.access_level  # type: ignore[attr-defined]
    context = {"lines": activity_of(server, are_addresses_shown=is_in_charge), "most": SHOWN}
    return render_section(request, server, "servers/activity.html", context, section="activity", part="live")
