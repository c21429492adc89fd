"""The audit trail: to read, to search, to verify."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit
from core.models import AuditEntry, AuditLink
from core.staff import Act, Deed, Record, Refused


def verify(_row: Any, _act: Act) -> str:
    """Say whether the trail is as it was written."""
    breaks = audit.verify()
    if breaks:
        places = "; ".join(f"{broken.entry_id}: {broken.problem}" for broken in breaks[:10])
        raise Refused(
            _("The audit trail is broken in %(count)s place(s): %(places)s") % {"count": len(breaks), "places": places}
        )
    head = audit.head()
    return _("The audit trail is whole: %(count)s entries.") % {"count": head.position if head else 0}


VERIFY = Deed(
    name="verify",
    label=gettext_lazy("Verify the chain"),
    perform=verify,
    permissions=("core.view_auditlink",),
    note=gettext_lazy(
        "Reads every entry and checks that none was edited, deleted or put in since. It may take a moment."
    ),
    icon="verified",
)


@admin.register(AuditEntry)
class AuditEntryAdmin(Record):
    """Who did what to what, from where."""

    list_display = ("at", "action", "entity_type", "entity_id", "actor", "actor_label", "ip")
    list_filter = ("action", "entity_type", "at")
    list_select_related = ("actor",)
    search_fields = ("=entity_id", "action", "actor__email", "=ip")
    search_help_text = gettext_lazy("Id of a thing, action, e-mail address or IP")
    date_hierarchy = "at"
    ordering = ("-id",)
    general_deeds = (VERIFY,)


@admin.register(AuditLink)
class AuditLinkAdmin(Record):
    """The chain over the entries."""

    list_display = ("position", "entry", "entry_hash", "hash")
    list_select_related = ("entry",)
    ordering = ("-position",)
    general_deeds = (VERIFY,)
