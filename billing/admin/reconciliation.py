"""Reconciliation with the gateways: what is unexplained, how far the lists were read, and audits of the ledger."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import ledger_audit, unexplained
from billing.models import GatewayBalance, GatewayCursor, LedgerAudit, UnexplainedItem
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReasonForm, StaffAction


def resolve(item: UnexplainedItem, context: ActionContext) -> str:
    """Close an unexplained item with a reason."""
    if not unexplained.resolve(item=item, reason=context.data["reason"], actor=context.user, at=context.at):
        raise ActionError(_("This item was resolved in the meantime."))
    return _("The item is resolved.")


@admin.register(UnexplainedItem)
class UnexplainedItemAdmin(ReadOnlyAdmin):
    """What is at a gateway and has no row here."""

    list_display = ("created_at", "type", "reference", "organization", "amount_minor", "note", "resolved_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "type", "gateway")
    list_select_related = ("organization",)
    search_fields = ("=reference", "=customer", "organization__name", "note")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    staff_actions = (
        StaffAction(
            name="resolve",
            label=gettext_lazy("Resolve"),
            run=resolve,
            permissions=("billing.change_unexplaineditem",),
            form=ReasonForm,
            description=gettext_lazy("Say what it is, or what was done at the gateway. It is then no longer listed."),
            is_available=lambda item: item.resolved_at is None,
            icon="check_circle",
        ),
    )


@admin.register(GatewayCursor)
class GatewayCursorAdmin(ReadOnlyAdmin):
    """How far each list of a gateway was read."""

    list_display = ("gateway", "type", "read_until", "updated_at")
    list_filter = ("gateway", "type")
    ordering = ("gateway", "type")


@admin.register(GatewayBalance)
class GatewayBalanceAdmin(ReadOnlyAdmin):
    """What each gateway holds, beside what our books say."""

    list_display = ("gateway", "currency", "held", "clearing", "differs_since", "read_at")
    list_filter = ("gateway", "currency")
    ordering = ("gateway", "currency")


@admin.register(LedgerAudit)
class LedgerAuditAdmin(ReadOnlyAdmin):
    """What each audit of the ledger found."""

    list_display = ("started_at", "ended_at", "broken_count", "rules")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)

    @admin.display(description=gettext_lazy("Broken rules"))
    def rules(self, row: LedgerAudit) -> str:
        """The rules that did not hold, in words."""
        return " ".join(ledger_audit.text_of(code) for code in row.broken) or "–"
