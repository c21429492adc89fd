"""Payments, refunds and disputes, with their staff actions."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSingleDateWidget, UnfoldAdminTextInputWidget

from billing import allocations, invoicing, ledger, manual_refunds, payments, refunds, reviews
from billing.models import (
    AllocationReversal,
    ChargeTask,
    Dispute,
    Payment,
    PaymentAllocation,
    PaymentState,
    PaymentTask,
    Refund,
    RefundTask,
)
from billing.refunds import REFUNDABLE, NotRefundable
from core.admin_base import (
    ActionContext,
    ActionError,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ReasonForm,
    StaffAction,
    WorkItemAdmin,
    clean_amount,
)
from core.money import Money


class AmountForm(ReasonForm):
    """A part of a payment; all that is left of it by default."""

    amount = forms.CharField(label=gettext_lazy("Amount"), max_length=20, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, row: Payment, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.rest = self.rest_of(row)
        self.fields["amount"].initial = str(self.rest.amount)
        self.fields["amount"].help_text = _("At most %(rest)s.") % {"rest": self.rest}

    def rest_of(self, payment: Payment) -> Money:
        """The most that the amount can be."""
        return payment.refundable

    def clean_amount(self) -> Money:
        """Money in the payment's currency, at most the rest."""
        amount = clean_amount(self.cleaned_data["amount"], self.rest.currency)
        if not 0 < amount.minor <= self.rest.minor:
            raise forms.ValidationError(_("More than zero, and at most %(rest)s.") % {"rest": self.rest})
        return amount


class RefundForm(AmountForm):
    """How much to refund.

    `seen`, how often some was given back until then, makes a double click one refund.
    """

    seen = forms.IntegerField(widget=forms.HiddenInput)
    field_order = ("amount", "reason", "seen")

    def __init__(self, *args: Any, row: Payment, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        if not refunds.sends_refunds(row.gateway):
            self.fields["amount"].help_text += " " + _(
                "This gateway cannot send money back. The amount becomes credit in the customer's wallet."
            )
        elif not refunds.can_refund(row):
            self.fields["amount"].help_text += " " + _(
                "A bank disputed this payment, and its gateway refunds no payment that was ever disputed. "
                "The amount becomes credit in the customer's wallet."
            )
        self.fields["seen"].initial = allocations.times_given_back(row)

    def rest_of(self, payment: Payment) -> Money:
        """The most that can be given back, at the gateway or as credit."""
        return refunds.refundable_of(payment)


def refund(payment: Payment, context: ActionContext) -> str:
    """Refund all or part of a payment."""
    row = payments.lock_payment(payment.pk)
    amount = context.data["amount"]
    if allocations.times_given_back(row) != context.data["seen"]:
        raise ActionError(_("Another refund was made in the meantime. Check the payment again."))
    given_back: dict[str, Any] = {"payment": row, "amount": amount, "reason": context.data["reason"]}
    if not refunds.can_refund(row):
        refunds.credit_payment(**given_back, actor=context.user, at=context.at)
        return _("%(amount)s is credit in the customer's wallet now.") % {"amount": amount}
    refunds.refund_payment(**given_back, actor=context.user, at=context.at)
    return _("%(amount)s is being refunded.") % {"amount": amount}


class ManualRefundForm(AmountForm):
    """What staff sent back by hand: how much, when, and what the gateway calls it."""

    reference = forms.CharField(
        label=gettext_lazy("Reference"),
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("The number of the transfer at the gateway. Each is recorded once."),
    )
    sent_on = forms.DateField(label=gettext_lazy("Sent on"), widget=UnfoldAdminSingleDateWidget)
    field_order = ("amount", "reference", "sent_on", "reason")


def record_manual_refund(payment: Payment, context: ActionContext) -> str:
    """Record what staff sent back by hand."""
    sent = {name: context.data[name] for name in ("amount", "reference", "sent_on", "reason")}
    try:
        manual_refunds.record_manual_refund(payment=payment, **sent, actor=context.user, at=context.at)
    except manual_refunds.AlreadyRecorded:
        raise ActionError(_("A refund with this reference is recorded already."), field="reference") from None
    except NotRefundable as error:
        raise ActionError(_("Nothing was recorded: %(error)s.") % {"error": error}) from error
    return _("%(amount)s is recorded as sent back.") % {"amount": sent["amount"]}


class AcceptForm(ReasonForm):
    """Says what becomes of the money; `seen`, what it said, so that nothing else is done."""

    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, row: Payment, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        accepted = reviews.acceptance_of(row)
        amounts = {name: getattr(accepted, name) for name in ("credited", "invoice", "other_credit", "debt")}
        self.fields["seen"].initial = str(accepted)
        self.consequences = [_("%(credited)s goes to the customer's wallet.") % amounts]
        if accepted.other_credit:
            text = _("The wallet then pays its invoice of %(invoice)s, %(other_credit)s of it with other credit.")
            self.consequences.append(text % amounts)
        elif accepted.invoice:
            self.consequences.append(_("The wallet then pays its invoice of %(invoice)s.") % amounts)
        elif row.invoice is not None and row.invoice.state in invoicing.UNPAID:
            text = _("Its invoice of %(total)s stays unpaid, because the wallet does not cover it.")
            self.consequences.append(text % {"total": row.invoice.total})
        if accepted.debt:
            self.consequences.append(_("The wallet then pays %(debt)s that the customer owes.") % amounts)
        if refunds.can_refund(row):
            self.consequences.append(_("To send the money back to the customer instead, use “Refund”."))


def accept(payment: Payment, context: ActionContext) -> str:
    """Accept a payment that is under review, if that does what the form said."""
    row = payments.lock_payment(payment.pk)
    ledger.lock_wallets({(row.organization_id, currency) for currency in (row.received_currency, row.currency)})
    if str(reviews.acceptance_of(row)) != context.data["seen"]:
        raise ActionError(_("The customer's credit or invoice has changed. Read again what will be done."))
    reviews.accept_payment(payment_id=row.pk, reason=context.data["reason"], actor=context.user, at=context.at)
    return _("The payment is accepted.")


class AllocationInline(ReadOnlyInline):
    """The invoices that a payment paid."""

    model = PaymentAllocation
    columns = ("at", "invoice", "amount_minor")
    ordering = ("at",)


class RefundInline(ReadOnlyInline):
    """The refunds of a payment."""

    model = Refund
    columns = ("created_at", "amount_minor", "state", "reason", "settled_at", "failure")
    ordering = ("-created_at",)


class DisputeInline(ReadOnlyInline):
    """The disputes of a payment."""

    model = Dispute
    columns = ("opened_at", "amount_minor", "reason", "evidence_due_at", "closed_at", "is_won")


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """Each attempt to collect money."""

    list_display = (
        "created_at",
        "organization",
        "state",
        "amount_minor",
        "received_minor",
        "invoice",
        "gateway",
        "review_reason",
    )
    list_filter = ("state", "gateway", "currency")
    list_select_related = ("organization", "invoice")
    search_fields = ("organization__name", "invoice__number", "=transaction_id", "=session_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (AllocationInline, RefundInline, DisputeInline)
    sections = (
        (None, ("organization", "invoice", "state", "review_reason", "failure")),
        (
            gettext_lazy("Money"),
            (
                *("amount_minor", "received_minor", "received_currency", "refunded_minor", "lost_minor"),
                *("method_label", "period_start", "period_end"),
            ),
        ),
        (
            gettext_lazy("Gateway"),
            (
                *("gateway", "is_live", "channel", "transaction_id", "session_id", "session_url", "idempotency_key"),
                *("success_url", "cancel_url"),
            ),
        ),
        (
            gettext_lazy("History"),
            (
                *("id", "created_at", "session_requested_at", "session_requests", "expires_at"),
                *("poll_at", "settled_at", "accepted_at", "updated_at"),
            ),
        ),
    )
    staff_actions = (
        StaffAction(
            name="refund",
            label=gettext_lazy("Refund"),
            run=refund,
            permissions=("billing.add_refund",),
            form=RefundForm,
            description=gettext_lazy(
                "The money goes back to the original payment method; where its gateway cannot do that, to the wallet. "
                "A full refund suspends the server it paid for."
            ),
            is_available=lambda payment: payment.state in REFUNDABLE and bool(refunds.refundable_of(payment)),
            icon="undo",
            is_destructive=True,
        ),
        StaffAction(
            name="manual_refund",
            label=gettext_lazy("Record money sent back by hand"),
            run=record_manual_refund,
            permissions=("billing.add_refund",),
            form=ManualRefundForm,
            description=gettext_lazy(
                "This gateway cannot be asked for refunds. Record here what you have sent back in its own dashboard: "
                "nothing is sent now. A full refund suspends the server it paid for."
            ),
            is_available=lambda payment: (
                payment.state in REFUNDABLE and bool(payment.refundable) and not refunds.sends_refunds(payment.gateway)
            ),
            icon="assignment_return",
            is_destructive=True,
        ),
        StaffAction(
            name="accept",
            label=gettext_lazy("Accept the payment"),
            run=accept,
            permissions=("billing.change_payment",),
            form=AcceptForm,
            description=gettext_lazy("The money stays with us, as the customer's."),
            is_available=lambda payment: payment.state == PaymentState.UNDER_REVIEW,
            icon="check_circle",
        ),
    )


@admin.register(PaymentAllocation)
class PaymentAllocationAdmin(ReadOnlyAdmin):
    """What paid which invoice; without a payment, credit of the wallet."""

    list_display = ("at", "organization", "invoice", "payment", "amount_minor")
    list_filter = ("currency",)
    list_select_related = ("organization", "invoice", "payment")
    search_fields = ("organization__name", "invoice__number", "=payment__transaction_id")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(AllocationReversal)
class AllocationReversalAdmin(ReadOnlyAdmin):
    """What refunds and lost disputes took back of allocations."""

    list_display = ("at", "organization", "allocation", "refund", "dispute", "amount_minor", "undone_at")
    list_filter = ("currency", ("undone_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "allocation", "refund", "dispute")
    search_fields = ("organization__name", "allocation__invoice__number")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Refunds; they are started on the payment's page."""

    list_display = ("created_at", "organization", "payment", "amount_minor", "state", "reason", "failure")
    list_filter = ("state", "currency")
    list_select_related = ("organization", "payment")
    search_fields = ("organization__name", "reason", "=transaction_id", "=idempotency_key")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(RefundTask)
class RefundTaskAdmin(WorkItemAdmin):
    """The work of sending refunds to the gateway."""

    list_display = ("created_at", "refund", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("refund",)
    search_fields = ("=refund__id", "refund__organization__name", "last_error")


@admin.register(ChargeTask)
class ChargeTaskAdmin(WorkItemAdmin):
    """The work of charging saved methods."""

    list_display = ("created_at", "payment", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("payment",)
    search_fields = ("=payment__id", "payment__organization__name", "last_error")


@admin.register(PaymentTask)
class PaymentTaskAdmin(WorkItemAdmin):
    """The work of paying an invoice with money that arrived, where that failed at first."""

    list_display = ("created_at", "payment", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("payment",)
    search_fields = ("=payment__id", "payment__organization__name", "last_error")


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    """Payments that a customer's bank took back."""

    list_display = (
        *("opened_at", "organization", "payment", "amount_minor", "reason"),
        *("evidence_due_at", "closed_at", "is_won"),
    )
    list_filter = ("is_won", ("closed_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "payment")
    search_fields = ("organization__name", "=reference", "reason")
    date_hierarchy = "opened_at"
    ordering = ("-opened_at",)
