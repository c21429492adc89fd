"""The page that says what to transfer, and where to."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.permissions import Action
from billing import queries
from billing.models import Payment
from core import clock


@login_required
@require_safe
def transfer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The bank details, the amount and the reference of a payment by bank transfer."""
    rows = queries.transfers_for(request.access, Action.ORDER_PAY)  # type: ignore[attr-defined]
    row, at = get_object_or_404(rows, payment=pk), clock.now()
    payment = row.payment
    details = [
        (_("Amount"), str(payment.amount)),
        (_("Reference"), row.reference),
        (_("Account holder"), row.details.get("account_holder")),
        (_("IBAN or account number"), row.details.get("account_number")),
        (_("BIC or bank code"), row.details.get("bank_code")),
        (_("Bank"), row.details.get("bank_name")),
    ]
    context = {
        "transfer": row,
        "rows": [(label, value) for label, value in details if value],
        "is_paid": payment.state in Payment.RECEIVED,
        "is_closed": payment.state not in Payment.OPEN or row.closed_at is not None or row.expires_at <= at,
        "back_url": payment.cancel_url,
        "at": at,
    }
    return render(request, "billing/transfer.html", context)
