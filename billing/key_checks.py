"""Whether the keys of a gateway account are right: asked by a worker, and kept for the account's page."""

from datetime import datetime

from billing.gateways.abilities import KeyCheck
from billing.gateways.base import driver_for
from billing.models import GatewayAccount, KeyCheckTask
from core import outside, tenancy, work
from core.encryption import UndecryptableError


def request_check(*, account: GatewayAccount, at: datetime) -> None:
    """Have a worker ask the gateway at once; of several requests, once more after the last."""
    with tenancy.as_worker():
        KeyCheckTask.request(account, at=at, checked_at=None, problem="")
        work.wake_worker(KeyCheckTask)


def perform(task: KeyCheckTask, *, at: datetime) -> None:
    """Ask, and keep what came of it. A gateway that does not answer is a result too: staff ask again."""
    account, problem = GatewayAccount.objects.get(pk=task.account_id), ""
    try:
        driver = driver_for(account)
        if isinstance(driver, KeyCheck):
            driver.check_keys()
    except (outside.OutsideError, UndecryptableError) as error:
        problem = str(error)
    KeyCheckTask.objects.filter(pk=task.pk).update(checked_at=at, problem=problem[:255])
