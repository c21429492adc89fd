"""Payments and refunds, and what staff can do about them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import payments, refunds
from billing.models import Dispute, Payment, PaymentState, Refund, RefundTask
from billing.refunds import REFUNDABLE
from core.money import Money
from core.staff import Act, Deed, ReasonForm, Record, RecordInline, Refused, WorkRecord


class RefundForm(ReasonForm):
    """How much, the rest unless typed otherwise. `seen` makes a doubled press one refund."""

    amount = forms.CharField(label=gettext_lazy("Amount"), max_length=20)
    seen = forms.IntegerField(widget=forms.HiddenInput)
    field_order = ("amount", "reason", "seen")

    def __init__(self, *args: Any, row: Payment, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.rest = row.refundable
        self.fields["amount"].initial = str(self.rest.amount)
        self.fields["amount"].help_text = _("At most %(rest)s.") % {"rest": self.rest}
        self.fields["seen"].initial = row.refunds.count()

    def clean_amount(self) -> Money:
        """Exact money of the payment's currency, not more than the rest."""
        try:
            amount = Money.parse(self.cleaned_data["amount"].strip(), self.rest.currency)
        except ValueError:
            raise forms.ValidationError(
                _("This is not an amount of %(currency)s.") % {"currency": self.rest.currency}
            ) from None
        if not 0 < amount.minor <= self.rest.minor:
            raise forms.ValidationError(_("More than zero, and at most %(rest)s.") % {"rest": self.rest})
        return amount


def refund(payment: Payment, act: Act) -> str:
    """Give money back."""
    row = Payment.objects.select_for_update(no_key=True).get(pk=payment.pk)
    amount = act.chosen["amount"]
    if row.refunds.count() != act.chosen["seen"]:
        raise Refused(_("Another refund was made meanwhile; look again."))
    refunds.refund_payment(payment=row, amount=amount, reason=act.chosen["reason"], actor=act.user, at=act.at)
    return _("%(amount)s goes back; the gateway is told now.") % {"amount": amount}


def accept(payment: Payment, act: Act) -> str:
    """Take a held payment as good."""
    payments.accept_payment(payment_id=payment.pk, reason=act.chosen["reason"], actor=act.user, at=act.at)
    return _("The payment is accepted.")


class RefundInline(RecordInline):
    """What went back of a payment."""

    model = Refund
    names = ("created_at", "amount_minor", "state", "reason", "settled_at", "failure")
    ordering = ("-created_at",)


class DisputeInline(RecordInline):
    """Whether a bank took it back."""

    model = Dispute
    names = ("opened_at", "amount_minor", "reason", "closed_at", "is_won")


@admin.register(Payment)
class PaymentAdmin(Record):
    """Each attempt to collect."""

    list_display = (
        "created_at",
        "organization",
        "invoice",
        "gateway",
        "state",
        "amount_minor",
        "received_minor",
        "review_reason",
    )
    list_filter = ("state", "gateway", "billing_mode", "currency")
    list_select_related = ("organization", "invoice")
    search_fields = ("organization__name", "invoice__number", "=transaction_id", "=session_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (RefundInline, DisputeInline)
    deeds = (
        Deed(
            name="refund",
            label=gettext_lazy("Refund"),
            perform=refund,
            permissions=("billing.add_refund",),
            form=RefundForm,
            note=gettext_lazy("The money goes back the way it came. A full refund suspends the server it paid for."),
            suits=lambda payment: payment.state in REFUNDABLE and bool(payment.refundable),
            icon="undo",
            is_grave=True,
        ),
        Deed(
            name="accept",
            label=gettext_lazy("Accept the held payment"),
            perform=accept,
            permissions=("billing.change_payment",),
            form=ReasonForm,
            note=gettext_lazy(
                "The money is credited to the organization's wallet, and its invoice paid where it suffices."
            ),
            suits=lambda payment: payment.state == PaymentState.UNDER_REVIEW,
            icon="check_circle",
        ),
    )


@admin.register(Refund)
class RefundAdmin(Record):
    """Money on its way back; asked for on the payment's page."""

    list_display = ("created_at", "organization", "payment", "amount_minor", "state", "reason", "failure")
    list_filter = ("state", "currency")
    list_select_related = ("organization", "payment")
    search_fields = ("organization__name", "reason", "=transaction_id", "=idempotency_key")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(RefundTask)
class RefundTaskAdmin(WorkRecord):
    """Refunds being asked for at the gateway."""

    list_display = ("created_at", "refund", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("refund",)
    search_fields = ("=refund__id", "refund__organization__name", "last_error")


@admin.register(Dispute)
class DisputeAdmin(Record):
    """Payments that a customer's bank took back, until the verdict."""

    list_display = ("opened_at", "organization", "payment", "amount_minor", "reason", "closed_at", "is_won")
    list_filter = ("is_won", ("closed_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "payment")
    search_fields = ("organization__name", "=reference", "reason")
    date_hierarchy = "opened_at"
    ordering = ("-opened_at",)
