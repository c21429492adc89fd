"""A server that a provider has becomes ours as it is: nothing is installed, restarted or moved for it.

Convergence then writes our key to it there, and gives it to its owner's account.

The order of the locks: the node, then what was seen of the server, then the node's ports. A sync takes them in the same
order, so of two who adopt the same server the second finds it adopted.
"""

from datetime import datetime

from django.utils.translation import gettext as _

from accounts.models import Organization, User
from catalog.models import Plan
from core import audit, tenancy
from core.models import WorkState
from servers import builds, capacity, inventory
from servers.capacity import Size
from servers.convergence import provisioning_log
from servers.convergence.scheduling import request_convergence
from servers.models import (
    HoldKind,
    Node,
    PanelAccount,
    RemoteAccountSeen,
    RemoteDeletion,
    RemoteServerSeen,
    Server,
    ServerHold,
    ServerStatus,
    Step,
)
from servers.plan_fits import PlanFit

MAX_NAME = 64


class NotAdoptable(Exception):
    """The server cannot be taken over; the text says why, for staff."""


def adoption_problem(seen: RemoteServerSeen) -> str:
    """Why the server cannot be taken over, whatever as; empty where it can. Reads what the row names."""
    if not seen.is_present:
        return _("The provider no longer has it.")
    if seen.server is not None and seen.server.status != ServerStatus.DELETED:
        return _("It is a server of this shop already.")
    if not seen.identifier:
        return _("Its provider cannot make it one of ours: the servers there carry our key from their creation on.")
    if seen.node is None or not seen.node.is_present:
        return _("Its node is not known. Sync the nodes first.")
    if seen.node.location.region_id is None:
        return _("The location of its node is in no region.")
    return ""


def plan_problem(seen: RemoteServerSeen, fit: PlanFit | None) -> str:
    """Why it cannot become a server of this plan; empty where it can. It may have more, or less, than the plan."""
    if fit is None:
        return _("No blueprint builds this plan at its provider.")
    if not fit.is_built_like(seen):
        text = _("It is made of %(ref)s there, and the blueprint %(blueprint)s of something else.")
        return text % {"ref": seen.build_ref, "blueprint": fit.blueprint}
    return ""


def account_problem(seen: RemoteServerSeen, owner: User) -> str:
    """Why the owner cannot have an account there; empty where they can."""
    if PanelAccount.objects.filter(provider=seen.provider_id, user=owner).exists():
        return ""
    account = account_with_address(seen, owner)
    if account is not None and account.ref != seen.account_ref:
        return _(
            "Another account there has the owner's address, which everybody can enter there. If it is theirs, give it "
            "the server there first."
        )
    if account is not None and account.is_admin:
        return _("The account there with the owner's address administers the panel, so it is given to no customer.")
    if account is not None and PanelAccount.objects.filter(provider=seen.provider_id, ref=account.ref).exists():
        return _("The account there with the owner's address belongs to another user here.")
    return ""


def account_with_address(seen: RemoteServerSeen, owner: User) -> RemoteAccountSeen | None:
    """The account there whose address is the owner's, letter for letter but for their case."""
    accounts = RemoteAccountSeen.objects.filter(provider=seen.provider_id, is_present=True)
    return accounts.filter(email=owner.email.lower()).order_by("ref").first()


def size_of(seen: RemoteServerSeen, plan: Plan) -> Size:
    """What it takes. What the provider does not limit or say is the plan's; CPU may stay without a limit."""
    has_free_cpu = seen.node is not None and not seen.node.is_elastic
    return Size(
        memory_mib=seen.memory_mib or plan.memory_mib,
        disk_mib=seen.disk_mib or plan.disk_mib,
        cpu_percent=seen.cpu_percent if has_free_cpu else seen.cpu_percent or plan.cpu_percent,
        ports=len(seen.allocation_refs),
    )


def adopt_server(
    *, seen: RemoteServerSeen, organization: Organization, owner: User, fit: PlanFit, actor: User | None, at: datetime
) -> Server:
    """The server that this one is from now on. Its owner's address is confirmed, as the caller has checked.

    A suspended one stays suspended, by a hold that staff lift. Raises NotAdoptable, with nothing changed.
    """
    with tenancy.as_worker(organization):
        if seen.node_id is None:
            raise NotAdoptable(adoption_problem(seen))
        node = Node.objects.select_for_update(no_key=True).get(pk=seen.node_id)
        rows = RemoteServerSeen.objects.select_for_update(no_key=True, of=("self",))
        row = rows.select_related("server", "node__location").get(pk=seen.pk)
        if row.node_id != node.pk:
            raise NotAdoptable(_("It was moved just now. Try again."))
        if problem := adoption_problem(row) or plan_problem(row, fit) or account_problem(row, owner):
            raise NotAdoptable(problem)
        open_deletions = RemoteDeletion.objects.filter(provider=row.provider_id, ref=row.ref)
        if open_deletions.exclude(state=WorkState.DONE).exists():
            raise NotAdoptable(_("It is being deleted there."))
        server = _write_server(row, node, organization, owner, fit)
        if row.is_suspended:
            reason = _("It was suspended when it was taken over.")
            named = {"organization": organization, "server": server, "placed_by": actor, "placed_at": at}
            ServerHold.objects.create(kind=HoldKind.MANUAL, reason=reason, **named)
        provisioning_log.write(server, Step.ADOPTED, at=at)
        _link_account(row, owner)
        RemoteServerSeen.objects.filter(pk=row.pk).update(server=server)
        inventory.recount(node)
        inventory.close_foreign_findings(row.provider_id, row.ref, at=at)
        new = {"provider": str(row.provider_id), "ref": row.ref, "plan": fit.plan.code, "name": server.name}
        audit.record(action="server.adopt", entity=server, actor=actor, new=new, at=at)
        request_convergence(server_ids=[server.pk], at=at)
    return server


def _write_server(seen: RemoteServerSeen, node: Node, organization: Organization, owner: User, fit: PlanFit) -> Server:
    """The server on a reservation of what it takes, as installed and running."""
    plan, blueprint, size = fit.plan, fit.blueprint, size_of(seen, fit.plan)
    try:
        reservation = capacity.reserve_existing(
            organization=organization,
            node_id=node.pk,
            blueprint=blueprint,
            size=size,
            refs=seen.allocation_refs,
        )
    except (capacity.NoFreePort, capacity.UnknownPort) as error:
        raise NotAdoptable(_("Its ports: %(problem)s.") % {"problem": error}) from error
    return Server.objects.create(
        organization=organization,
        owner=owner,
        name=(seen.name.strip() or seen.ref)[:MAX_NAME].strip(),
        kind=plan.product.kind,
        blueprint=blueprint,
        plan=plan,
        plan_ref=blueprint.plan_ref,
        build=builds.sold_build(blueprint),
        node=node,
        reservation=reservation,
        status=ServerStatus.SUSPENDED if seen.is_suspended else ServerStatus.RUNNING,
        ref=seen.ref,
        identifier=seen.identifier,
        cpu_percent=size.cpu_percent,
        memory_mib=size.memory_mib,
        disk_mib=size.disk_mib,
        ports_limit=size.ports,
        databases_limit=plan.databases,
        backups_limit=plan.backups,
        installed_at=seen.updated_at,
        running_at=seen.updated_at,
    )


def _link_account(seen: RemoteServerSeen, owner: User) -> None:
    """The account there with the owner's address is theirs from now on, where they have no other."""
    account = account_with_address(seen, owner)
    if account is not None:
        PanelAccount.objects.get_or_create(
            provider_id=seen.provider_id,
            user=owner,
            defaults={"ref": account.ref, "username": account.username, "email": owner.email},
        )
