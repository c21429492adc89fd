"""The owner's account at the provider, found or created, one at a time for each provider."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers.convergence import provisioning_log
from servers.convergence.context import NOW, ConvergenceContext
from servers.drivers.abilities import AccountOwner, Accounts
from servers.locks import advisory_lock
from servers.models import PanelAccount, ProvisioningStep, Step


def ensure_account(ctx: ConvergenceContext) -> Reschedule | None:
    """Find or create the owner's account, where the provider has accounts; None when that is done."""
    if ctx.spec.account is not None or not isinstance(ctx.driver, Accounts):
        return None
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
    return NOW


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
