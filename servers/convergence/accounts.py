"""The owner's account at the provider, found or made, one at a time for each provider."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Again
from servers import journal, locks
from servers.convergence.case import NOW, Case, known_account
from servers.models import PanelAccount, ProvisioningStep, Step
from servers.providers.base import Account, Person


def step(case: Case) -> Again | None:
    """Make sure of the account and journal it; None when that is done."""
    if known_account(case) is None:
        _keep(case, _made(case))
        return NOW
    with tenancy.system():
        if not ProvisioningStep.objects.filter(server=case.server, step=Step.ACCOUNT).exists():
            journal.write(case.server, Step.ACCOUNT, at=case.at)
    return None


def required(case: Case) -> Account:
    """The account of a server that exists, whose owner must have one."""
    account = known_account(case)
    if account is None:
        account = _made(case)
        _keep(case, account)
    return account


def forget(case: Case) -> None:
    """The provider no longer has the account: find or make it anew."""
    provider_id = case.server.blueprint.provider_id
    with tenancy.system():
        PanelAccount.objects.filter(user_id=case.server.owner_id, provider_id=provider_id).delete()


def _made(case: Case) -> Account:
    """Two calls at once could make two accounts under one id, so they take turns."""
    owner = case.server.owner
    with locks.held(f"accounts:{case.server.blueprint.provider_id}") as is_ours:
        if not is_ours:
            raise outside.Unavailable("another account is being made there just now", retry_after=1)
        return case.driver.account_of(Person(owner.pk, owner.email, owner.first_name, owner.last_name))


def _keep(case: Case, account: Account) -> None:
    provider_id = case.server.blueprint.provider_id
    with tenancy.system():
        taken = PanelAccount.objects.filter(provider_id=provider_id, ref=account.ref)
        if taken.exclude(user_id=case.server.owner_id).exists():
            raise outside.Rejected(_("The panel's account {ref} is linked to another user.").format(ref=account.ref))
        PanelAccount.objects.update_or_create(
            user_id=case.server.owner_id,
            provider_id=provider_id,
            defaults={"ref": account.ref, "username": account.username, "is_panel_admin": account.is_admin},
        )
