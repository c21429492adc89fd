"""The owner's account at the provider, found or created, one at a time for each provider."""

import logging
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import User
from core import outside, tenancy
from core.work import Reschedule
from servers.convergence import provisioning_log
from servers.convergence.context import NOW, ConvergenceContext
from servers.drivers.abilities import AccountOwner, Accounts
from servers.drivers.base import Account, AccountConflict, AccountNotFound
from servers.locks import advisory_lock
from servers.models import PanelAccount, ProvisioningStep, Step

log = logging.getLogger(__name__)


def ensure_account(ctx: ConvergenceContext) -> Reschedule | None:
    """Find or create the owner's account, where the provider has accounts; None when that is done.

    An account with an earlier address of its owner is given the present one.
    """
    if not isinstance(ctx.driver, Accounts):
        return None
    owner, provider_id = ctx.server.owner, ctx.server.blueprint.provider_id
    if ctx.spec.account is not None:
        if ctx.spec.account.email.lower() != owner.email.lower():
            update_account(ctx.driver, ctx.spec.account, owner, provider_id)
        return None
    with advisory_lock(f"accounts:{provider_id}") as is_locked:  # two calls at once could create two accounts
        if not is_locked:
            raise outside.Unavailable("another account is being created there just now", retry_after=1)
        account = ctx.driver.account_of(AccountOwner(owner.pk, owner.email, owner.first_name, owner.last_name))
    with tenancy.as_worker():
        linked = PanelAccount.objects.filter(provider_id=provider_id, ref=account.ref)
        if linked.exclude(user_id=owner.pk).exists():
            raise outside.Rejected(_("The panel's account {ref} is linked to another user.").format(ref=account.ref))
        PanelAccount.objects.update_or_create(
            user_id=owner.pk,
            provider_id=provider_id,
            defaults=columns_of(account),
        )
    return NOW


def update_account(driver: Accounts, account: Account, owner: User, provider_id: UUID) -> None:
    """Send the owner's present address. Another account may have it there: that is for staff, and stops no server."""
    try:
        changed = driver.update_account(account, AccountOwner(owner.pk, owner.email, owner.first_name, owner.last_name))
    except (AccountConflict, AccountNotFound) as error:
        log.warning("the account %s was not given its owner's address: %s", account.ref, error)
        return
    with tenancy.as_worker():
        PanelAccount.objects.filter(user_id=owner.pk, provider_id=provider_id).update(**columns_of(changed))


def columns_of(account: Account) -> dict[str, Any]:
    """An account as we store it."""
    return {
        "ref": account.ref,
        "username": account.username,
        "email": account.email,
        "is_panel_admin": account.is_admin,
    }


def log_account(ctx: ConvergenceContext) -> None:
    """Log that there is an account, once, where the server belongs to one."""
    if ctx.spec.account is None:
        return
    with tenancy.as_worker():
        if not ProvisioningStep.objects.filter(server=ctx.server, step=Step.ACCOUNT).exists():
            provisioning_log.write(ctx.server, Step.ACCOUNT, at=ctx.at)


def forget_account(ctx: ConvergenceContext) -> None:
    """The provider no longer has the account: have it found or created again."""
    provider_id = ctx.server.blueprint.provider_id
    with tenancy.as_worker():
        PanelAccount.objects.filter(user_id=ctx.server.owner_id, provider_id=provider_id).delete()
