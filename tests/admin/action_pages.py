"""Staff actions over HTTP: the pages of their dialogs, and what they leave behind."""

from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import Dispute, Payment, PaymentState
from core.models import AuditEntry
from tests.admin.conftest import signed_in_user
from tests.admin.rows import Rows


def undisputed_rows(count: int) -> Rows:
    """Rows whose disputes are won: what is disputed gets neither server nor refund."""
    rows = Rows(count)
    Dispute.objects.update(closed_at=timezone.now(), is_won=True)
    return rows


def page_of(row: Any, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[quote(row.pk)])


def submit(client: Client, row: Any, action: str, /, **data: Any) -> Any:
    """Submit the action's dialog."""
    return client.post(page_of(row, action), {"_form_submitted": "True", **data})


def run(client: Client, row: Any, action: str, /, **data: Any) -> list[str]:
    """Open the action's dialog and submit it; the messages shown."""
    assert client.get(page_of(row, action)).status_code == 200
    response = submit(client, row, action, **data)
    assert response.status_code == 302, response.content.decode()
    return [str(message) for message in get_messages(response.wsgi_request)]


def is_audited(client: Client, action: str, row: Any) -> bool:
    return AuditEntry.objects.filter(action=action, actor=signed_in_user(client), entity_id=str(row.pk)).exists()


def payment_under_review(rows: Rows, *, minor: int = 800, currency: str = "USD", **fields: Any) -> Payment:
    """Eight dollars, or another amount, without an invoice unless one is given."""
    reason = {"state": PaymentState.UNDER_REVIEW, "review_reason": "no invoice", "settled_at": timezone.now()}
    return Payment.objects.create(
        organization=rows.organizations[0],
        gateway="stripe",
        amount_minor=minor,
        received_minor=minor,
        received_currency=currency,
        currency=currency,
        idempotency_key="review",
        transaction_id="pi_review",
        **reason,
        **fields,
    )
