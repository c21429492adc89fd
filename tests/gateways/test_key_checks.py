"""Whether the keys that staff entered work, at every gateway that can be asked."""

import pytest
from django.utils import timezone

from billing import key_checks
from billing.models import GatewayAccount, KeyCheckTask
from core.models import WorkState
from tests.billing.sales import run_due
from tests.gateways.adapters import Adapter

pytestmark = pytest.mark.django_db(transaction=True)
WRONG = {"secret_key": "pk_no", "api_key": "DEV-no", "client_secret": "no"}


def test_right_keys_are_said_to_work_and_wrong_ones_not(gateway: Adapter) -> None:
    account = GatewayAccount.objects.get(code=gateway.code)
    key_checks.request_check(account=account, at=timezone.now())
    run_due()
    check = KeyCheckTask.objects.get()
    assert (check.state, check.problem) == (WorkState.DONE, "")
    assert check.checked_at is not None

    before = account.credentials or {"webhook_secret": "whsec_x"}
    account.credentials = before | WRONG
    account.save()
    key_checks.request_check(account=account, at=timezone.now())
    run_due()

    check.refresh_from_db()
    assert check.state == WorkState.DONE
    assert "401" in check.problem
