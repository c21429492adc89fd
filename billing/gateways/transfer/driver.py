"""The driver of bank accounts that staff watch. What it states comes from our own rows: transfers and statement lines.

So it sends no events, and a payment is settled in the transaction in which its line is booked (`billing.transfers`).
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    ObjectRef,
    WebhookAnswer,
    WebhookEvent,
    WebhookNotConfigured,
)
from billing.models import BankTransfer, GatewayAccount, Payment, StatementLine
from core import clock, site_settings, tenancy
from core.credentials import CredentialField

# No characters that are mistaken for others when they are typed: 0 O, 1 I L, U V.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTWXYZ"
REFERENCE_LENGTH = 10


class TransferDriver:
    """A bank account of ours."""

    CREDENTIALS: Sequence[CredentialField] = (
        CredentialField("account_holder", _("Account holder"), is_secret=False),
        CredentialField("account_number", _("IBAN or account number"), is_secret=False),
        CredentialField("bank_code", _("BIC or bank code"), is_secret=False),
        CredentialField("bank_name", _("Bank"), is_secret=False),
        CredentialField("instructions", _("Note for customers"), is_secret=False),
    )
    HAS_IDEMPOTENCY_KEYS = True
    SAVES_METHODS = False

    def __init__(self, account: GatewayAccount) -> None:
        own = account.credentials or {}
        names = [field.name for field in self.CREDENTIALS]
        self.details = {name: str(own[name]) for name in names if own.get(name)}

    @staticmethod
    def page_origins() -> Sequence[str]:
        """None but our own."""
        return []

    def is_configured(self) -> bool:
        """Whether customers can be told where to transfer to."""
        return {"account_holder", "account_number"} <= self.details.keys()

    def is_live(self) -> bool:
        """A bank account holds real money."""
        return True

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """The transfer of a payment, with a reference of its own; the same one however often it is asked for."""
        with tenancy.as_worker():
            transfer, _is_new = BankTransfer.objects.get_or_create(
                payment_id=request.payment_id,
                defaults={
                    "organization_id": request.organization_id,
                    "reference": "".join(secrets.choice(ALPHABET) for _ in range(REFERENCE_LENGTH)),
                    "details": self.details,
                    "expires_at": request.expires_at,
                },
            )
        return self.read_session(transfer.reference)

    def session_lifetime(self, channel: str) -> timedelta:
        """The days that a setting says."""
        return timedelta(days=int(site_settings.get("billing.transfer_days")))

    def find_sessions(self, *, customer: str, payment_id: UUID, attempts: int) -> list[CheckoutSession]:
        """The payment's transfer."""
        with tenancy.as_worker():
            found = BankTransfer.objects.filter(payment=payment_id).values_list("reference", flat=True)
            references = list(found)
        return [self.read_session(reference) for reference in references]

    def read_session(self, reference: str) -> CheckoutSession:
        """The transfer in its current state: paid where a line is booked on it."""
        with tenancy.as_worker():
            transfer = BankTransfer.objects.select_related("payment").get(reference=reference)
            line = transfer.lines.order_by("created_at").first()
            now = clock.now()
        payment, status = transfer.payment, CheckoutSessionStatus.OPEN
        if line is not None:
            paid = payment_of_line(line, payment)
            return CheckoutSession(reference, "", CheckoutSessionStatus.PAID, payment.pk, payment=paid)
        if transfer.closed_at is not None or transfer.expires_at <= now:
            status = CheckoutSessionStatus.EXPIRED
        is_open = status is CheckoutSessionStatus.OPEN
        url = f"{settings.SITE_URL}{reverse('billing:transfer', args=[payment.pk])}" if is_open else ""
        return CheckoutSession(reference, url, status, payment.pk, total=payment.amount)

    def expire_session(self, reference: str) -> CheckoutSession:
        """Close the page. Money that is on its way nevertheless is booked like any late payment."""
        with tenancy.as_worker():
            open_ones = BankTransfer.objects.filter(reference=reference, closed_at=None, lines=None)
            open_ones.update(closed_at=clock.now())
        return self.read_session(reference)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """A bank account sends nothing."""
        raise WebhookNotConfigured("a bank account sends no events")

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """Nobody reads it."""
        return WebhookAnswer(status)

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """There are no events."""
        return None


def payment_of_line(line: StatementLine, payment: Payment) -> GatewayPayment:
    """A booked line as money that arrived for the payment."""
    return GatewayPayment(
        transaction_id=line.transaction_id,
        amount=line.amount,
        is_live=True,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
        method_label="Bank transfer",
    )
