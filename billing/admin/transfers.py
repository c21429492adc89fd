"""Bank transfers and the lines of bank statements."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from billing import statements, transfers
from billing.models import BankTransfer, GatewayAccount, LineState, Payment, StatementLine
from core import site_settings
from core.admin_base import (
    ActionContext,
    ActionError,
    ActionForm,
    ReadOnlyAdmin,
    ReasonForm,
    StaffAction,
    clean_amount,
)
from core.money import Money

KIND = "transfer"


class ArrivalForm(ActionForm):
    """What staff saw on the bank account."""

    amount = forms.CharField(label=gettext_lazy("Amount"), max_length=20, widget=UnfoldAdminTextInputWidget)
    booked_on = forms.DateField(label=gettext_lazy("Booked on"), widget=UnfoldAdminSingleDateWidget)

    def __init__(self, *args: Any, row: BankTransfer, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.currency = row.payment.currency
        self.fields["amount"].initial = str(row.payment.amount.amount)
        self.fields["amount"].help_text = _("We asked for %(amount)s. Another amount goes under review.") % {
            "amount": row.payment.amount
        }

    def clean_amount(self) -> Money:
        """More than nothing, in the payment's currency."""
        amount = clean_amount(self.cleaned_data["amount"], self.currency)
        if amount.minor <= 0:
            raise forms.ValidationError(_("Enter more than zero."))
        return amount


def record_arrival(transfer: BankTransfer, context: ActionContext) -> str:
    """Book what staff saw on the account."""
    try:
        payment = transfers.record_arrival(
            transfer=transfer,
            amount=context.data["amount"],
            booked_on=context.data["booked_on"],
            actor=context.user,
            at=context.at,
        )
    except transfers.NotBookable as error:
        raise ActionError(str(error)) from error
    return _("The money is booked. The payment: %(state)s.") % {"state": payment.get_state_display()}


@admin.register(BankTransfer)
class BankTransferAdmin(ReadOnlyAdmin):
    """What customers were asked to transfer."""

    list_display = ("reference", "organization", "payment", "expires_at", "closed_at", "created_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("organization", "payment")
    search_fields = ("reference", "organization__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    staff_actions = (
        StaffAction(
            name="record_arrival",
            label=gettext_lazy("Money arrived"),
            run=record_arrival,
            permissions=("billing.change_banktransfer",),
            form=ArrivalForm,
            description=gettext_lazy("Only after you have seen the money on the account: the order starts at once."),
            is_available=lambda transfer: transfer.payment.state not in Payment.RECEIVED,
            icon="check_circle",
        ),
    )


class ImportForm(ActionForm):
    """A statement as the bank exports it."""

    account = forms.ModelChoiceField(
        label=gettext_lazy("Account"),
        queryset=GatewayAccount.objects.filter(kind=KIND),
        widget=UnfoldAdminSelectWidget,
    )
    currency = forms.CharField(
        label=gettext_lazy("Currency"),
        max_length=3,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Of the lines that name none."),
    )
    date_format = forms.ChoiceField(
        label=gettext_lazy("Dates"),
        choices=[
            ("%Y-%m-%d", "2026-12-31"),
            ("%d.%m.%Y", "31.12.2026"),
            ("%d/%m/%Y", "31/12/2026"),
            ("%m/%d/%Y", "12/31/2026"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    statement = forms.CharField(
        label=gettext_lazy("Statement"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "The content of the bank's CSV file. Its first line names the columns: date, amount, reference or "
            "description, and perhaps payer and currency. Lines that were imported before change nothing."
        ),
    )

    def clean(self) -> dict[str, Any]:
        """The lines of the statement, as `lines`."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        currency = str(data.get("currency", "")).strip().upper()
        try:
            site_settings.validate_currency(currency)
        except forms.ValidationError as error:
            raise forms.ValidationError({"currency": error}) from None
        if "statement" in data and "date_format" in data:
            try:
                data["lines"] = statements.parse_statement(
                    data["statement"], currency=currency, date_format=data["date_format"]
                )
            except statements.StatementError as error:
                raise forms.ValidationError({"statement": str(error)}) from error
        return data


def import_statement(_row: None, context: ActionContext) -> str:
    """Import a statement, and say what became of its lines."""
    result = transfers.import_statement(
        account=context.data["account"], lines=context.data["lines"], actor=context.user, at=context.at
    )
    counts = {"booked": result.booked, "review": result.review, "known": result.known}
    return _("Booked: %(booked)s. To look at: %(review)s. Imported before: %(known)s.") % counts


class AssignForm(ActionForm):
    """Which transfer a line pays."""

    reference = forms.CharField(
        label=gettext_lazy("Reference"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Of the transfer that this money is for."),
    )


def assign(line: StatementLine, context: ActionContext) -> str:
    """Book a line on a transfer."""
    reference = context.data["reference"]
    try:
        payment = transfers.assign_line(line=line, reference=reference, actor=context.user, at=context.at)
    except transfers.NotBookable as error:
        raise ActionError(str(error), field="reference") from error
    return _("The money is booked. The payment: %(state)s.") % {"state": payment.get_state_display()}


def ignore(line: StatementLine, context: ActionContext) -> str:
    """Set a line aside."""
    try:
        transfers.ignore_line(line=line, reason=context.data["reason"], actor=context.user)
    except transfers.NotBookable as error:
        raise ActionError(str(error)) from error
    return _("The line is ignored.")


@admin.register(StatementLine)
class StatementLineAdmin(ReadOnlyAdmin):
    """What arrived on our bank accounts."""

    list_display = ("booked_on", "amount_minor", "payer", "text", "state", "note", "transfer")
    list_filter = ("state", "account")
    list_select_related = ("transfer",)
    search_fields = ("text", "payer", "transfer__reference")
    date_hierarchy = "booked_on"
    ordering = ("-booked_on", "-created_at")
    staff_list_actions = (
        StaffAction(
            name="import_statement",
            label=gettext_lazy("Import a statement"),
            run=import_statement,
            permissions=("billing.add_statementline",),
            form=ImportForm,
            description=gettext_lazy(
                "Lines with a reference and its exact amount are booked. You see all others here."
            ),
            icon="upload_file",
        ),
    )
    staff_actions = (
        StaffAction(
            name="assign",
            label=gettext_lazy("Book on a transfer"),
            run=assign,
            permissions=("billing.change_statementline",),
            form=AssignForm,
            description=gettext_lazy(
                "Another amount than asked for puts the payment under review; money for a paid invoice becomes credit."
            ),
            is_available=lambda line: line.state != LineState.BOOKED,
            icon="check_circle",
        ),
        StaffAction(
            name="ignore",
            label=gettext_lazy("Ignore"),
            run=ignore,
            permissions=("billing.change_statementline",),
            form=ReasonForm,
            description=gettext_lazy("Money that is not for an invoice of this shop."),
            is_available=lambda line: line.state == LineState.REVIEW,
            icon="block",
        ),
    )
