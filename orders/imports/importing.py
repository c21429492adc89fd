"""Imports: checked first, then done a batch at a time. A batch may be killed and repeated: nothing is done twice."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import services as accounts
from accounts.models import Organization, User
from core import audit, tenancy, work
from core.work import Reschedule
from orders import adoption
from orders.imports import planning
from orders.imports.models import ImportOutcome, ImportRow, ImportState, ImportTask, ServerImport
from servers.adoption import NotAdoptable, plan_problem
from servers.models import Provider, RemoteServerSeen
from servers.plan_fits import read_plan_fits

BATCH = 25
NOW = Reschedule(timedelta(0))


def request_check(
    *,
    provider: Provider,
    mapping: list[dict[str, str]],
    term: str,
    billed_from: date,
    matches_by_email: bool = False,
    actor: User | None,
    at: datetime,
) -> ServerImport:
    """A new import, which a worker checks and does nothing else with.

    `matches_by_email`: staff say that accounts there are those of the customers here with the same addresses.
    """
    with tenancy.as_worker():
        server_import = ServerImport.objects.create(
            provider=provider,
            mapping=mapping,
            term=term,
            billed_from=billed_from,
            matches_by_email=matches_by_email,
            requested_by=actor,
        )
        new = {"provider": str(provider.pk), "term": term, "billed_from": str(billed_from), "mapped": len(mapping)}
        new["matches_by_email"] = matches_by_email
        audit.record(action="import.check", entity=server_import, actor=actor, new=new, at=at)
        ImportTask.request(server_import, at=at)
        work.wake_worker(ImportTask)
    return server_import


def request_import(*, server_import: ServerImport, actor: User | None, at: datetime) -> bool:
    """Have a worker do what the check has shown; False where that is asked for already, or it is not checked yet."""
    with tenancy.as_worker():
        row = lock_import(server_import.pk)
        if row.state != ImportState.CHECKED:
            return False
        row.transition_to(ImportState.IMPORTING)
        row.save(update_fields=["state"])
        count = row.rows.filter(outcome=ImportOutcome.PLANNED).count()
        audit.record(action="import.start", entity=row, actor=actor, new={"planned": count}, at=at)
        ImportTask.request(row, at=at)
        work.wake_worker(ImportTask)
    return True


def perform(task: ImportTask, *, at: datetime) -> Reschedule | None:
    """The task's handler: see `advance`."""
    return NOW if advance(server_import_id=task.server_import_id, at=at) else None


def advance(*, server_import_id: UUID, at: datetime) -> bool:
    """Check the import, or import its next batch; whether more is left to do now."""
    server_import = ServerImport.objects.select_related("provider", "requested_by").get(pk=server_import_id)
    if server_import.state == ImportState.CHECKING:
        check(server_import, at=at)
        return False
    if server_import.state != ImportState.IMPORTING:
        return False
    planned = server_import.rows.filter(outcome=ImportOutcome.PLANNED).order_by("position")
    ids = list(planned.values_list("pk", flat=True)[:BATCH])
    for row_id in ids:
        import_row(server_import, row_id, at=at)
    if ids:
        return True
    with tenancy.as_worker():
        row = lock_import(server_import.pk)
        if row.state == ImportState.IMPORTING:
            row.transition_to(ImportState.FINISHED)
            row.finished_at = at
            row.save(update_fields=["state", "finished_at"])
    return False


def check(server_import: ServerImport, *, at: datetime) -> None:
    """Write down what would happen to each server."""
    rows = planning.plan_rows(server_import, at=at)
    with tenancy.as_worker():
        locked = lock_import(server_import.pk)
        if locked.state == ImportState.CHECKING:
            ImportRow.objects.bulk_create(rows, batch_size=1000)
            locked.transition_to(ImportState.CHECKED)
            locked.save(update_fields=["state"])


def import_row(server_import: ServerImport, row_id: UUID, *, at: datetime) -> None:
    """Take over one server, in a transaction of its own; what is refused now says why and leaves nothing behind."""
    with tenancy.as_worker():
        row = ImportRow.objects.select_for_update(no_key=True, of=("self",)).get(pk=row_id)
        if row.outcome != ImportOutcome.PLANNED:
            return
        try:
            with transaction.atomic():
                row.server = adopt_row(server_import, row, at=at)
                row.outcome = ImportOutcome.IMPORTED
        except NotAdoptable as error:
            row.outcome, row.note = ImportOutcome.REFUSED, str(error)[:255]
        row.save(update_fields=["server", "outcome", "note"])


def adopt_row(server_import: ServerImport, row: ImportRow, *, at: datetime) -> Any:
    """The server that the row becomes. Raises NotAdoptable where something has changed since the check."""
    rows = RemoteServerSeen.objects.filter(provider=server_import.provider_id, ref=row.ref)
    seen = rows.select_related("server", "node__location").first()
    if seen is None or row.plan_id is None:
        raise NotAdoptable(_("The provider no longer has it."))
    actor = server_import.requested_by
    known = planning.customers_with([row.email]).get(row.email)
    said: dict[str, Any] = next((each for each in server_import.mapping if each["ref"] == row.ref), {})
    if problem := planning.match_problem(server_import, known, said):  # they signed up since
        raise NotAdoptable(problem)
    owner, organization = customer_of(row.email, known, actor, at=at)
    currency = adoption.currency_of(organization)
    fit = read_plan_fits(currency, provider_ids=[seen.provider_id]).of_plan(seen.provider_id, row.plan_id)
    if fit is None:
        raise NotAdoptable(plan_problem(seen, fit))
    price = adoption.price_of(fit, row.term, organization)
    if price is None:
        raise NotAdoptable(_("The plan has no price in %(currency)s.") % {"currency": currency})
    if price.pk != row.price_id:
        text = _("It would renew at %(price)s now, and not at %(shown)s as was shown. Check again.")
        raise NotAdoptable(text % {"price": price, "shown": row.price})
    sale = adoption.Sale(organization, owner, fit, price, adoption.start_of(row.billed_from))
    return adoption.adopt(seen=seen, sale=sale, actor=actor, at=at)


def customer_of(
    email: str, known: planning.Customer | None, actor: User | None, *, at: datetime
) -> tuple[User, Organization]:
    """The user with exactly this address and their organization; a new one has no password and was sent nothing."""
    if known is not None:
        return known.user, known.organization
    user = User.objects.filter(email=email).first() or accounts.invite_user(email=email, actor=actor, at=at)
    return user, accounts.ensure_personal_organization(user=user)


def lock_import(server_import_id: UUID) -> ServerImport:
    """The import under its row lock."""
    return ServerImport.objects.select_for_update(no_key=True, of=("self",)).get(pk=server_import_id)
