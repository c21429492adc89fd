"""The owner's account at the provider, found or made, one at a time for each provider."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers import locks, provisioning_log
from servers.convergence.context import NOW, ConvergenceContext, known_account
from servers.drivers.base import Account, Person
from servers.models import PanelAccount, ProvisioningStep, Step


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """Make sure of the account and journal it; None when that is done."""
    if known_account(ctx) is None:
        _keep(ctx, _made(ctx))
        return NOW
    with tenancy.as_worker():
        if not ProvisioningStep.objects.filter(server=ctx.server, step=Step.ACCOUNT).exists():
            provisioning_log.write(ctx.server, Step.ACCOUNT, at=ctx.at)
    return None


def required(ctx: ConvergenceContext) -> Account:
    """The account of a server that exists, whose owner must have one."""
    account = known_account(ctx)
    if account is None:
        account = _made(ctx)
        _keep(ctx, account)
    return account


def forget(ctx: ConvergenceContext) -> None:
    """The provider no longer has the account: find or make it anew."""
    provider_id = ctx.server.blueprint.provider_id
    with tenancy.as_worker():
        PanelAccount.objects.filter(user_id=ctx.server.owner_id, provider_id=provider_id).delete()


def _made(ctx: ConvergenceContext) -> Account:
    """Two calls at once could make two accounts under one id, so they take turns."""
    owner = ctx.server.owner
    with locks.held(f"accounts:{ctx.server.blueprint.provider_id}") as is_ours:
        if not is_ours:
            raise outside.Unavailable("another account is being made there just now", retry_after=1)
        return ctx.driver.account_of(Person(owner.pk, owner.email, owner.first_name, owner.last_name))


def _keep(ctx: ConvergenceContext, account: Account) -> None:
    provider_id = ctx.server.blueprint.provider_id
    with tenancy.as_worker():
        taken = PanelAccount.objects.filter(provider_id=provider_id, ref=account.ref)
        if taken.exclude(user_id=ctx.server.owner_id).exists():
            raise outside.Rejected(_("The panel's account {ref} is linked to another user.").format(ref=account.ref))
        PanelAccount.objects.update_or_create(
            user_id=ctx.server.owner_id,
            provider_id=provider_id,
            defaults={"ref": account.ref, "username": account.username, "is_panel_admin": account.is_admin},
        )
