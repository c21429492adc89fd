"""The owner's account at the provider, found or created, one at a time for each provider."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers.convergence import provisioning_log
from servers.convergence.context import NOW, ConvergenceContext
from servers.drivers.base import Account, AccountOwner
from servers.locks import advisory_lock
from servers.models import PanelAccount, ProvisioningStep, Step


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """Ensure that there is an account, and log it; None when that is done."""
    if stored_account(ctx) is None:
        create_account(ctx)
        return NOW
    with tenancy.as_worker():
        if not ProvisioningStep.objects.filter(server=ctx.server, step=Step.ACCOUNT).exists():
            provisioning_log.write(ctx.server, Step.ACCOUNT, at=ctx.at)
    return None


def account_of(ctx: ConvergenceContext) -> Account:
    """The owner's account, created if necessary."""
    return stored_account(ctx) or create_account(ctx)


def stored_account(ctx: ConvergenceContext) -> Account | None:
    """The owner's account, where one was found or created before."""
    provider_id = ctx.server.blueprint.provider_id
    row = PanelAccount.objects.filter(user_id=ctx.server.owner_id, provider_id=provider_id).first()
    return Account(row.ref, row.username, row.is_panel_admin) if row else None


def create_account(ctx: ConvergenceContext) -> Account:
    """Find or create the owner's account at the provider, and store it."""
    owner, provider_id = ctx.server.owner, ctx.server.blueprint.provider_id
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
            defaults={"ref": account.ref, "username": account.username, "is_panel_admin": account.is_admin},
        )
    return account


def forget_account(ctx: ConvergenceContext) -> None:
    """The provider no longer has the account: have it found or created again."""
    provider_id = ctx.server.blueprint.provider_id
    with tenancy.as_worker():
        PanelAccount.objects.filter(user_id=ctx.server.owner_id, provider_id=provider_id).delete()
