"""What an import would do, row by row. Reads only, and as often for one server as for thousands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import Organization, User, UserStatus
from catalog.models import PlanPrice
from core import formats, site_settings
from orders.imports.models import ImportOutcome, ImportRow, ServerImport
from servers.adoption import adoption_problem, plan_problem, size_of
from servers.models import RemoteAccountSeen, RemoteServerSeen, ServerStatus
from servers.plan_fits import PlanFit, PlanFits, read_plan_fits


@dataclass(frozen=True)
class Customer:
    """A user with the address, their organization, and whether they proved that the address is theirs.

    One whom nobody has ever signed in as is whoever proves it first.
    """

    user: User
    organization: Organization
    is_confirmed: bool

    @property
    def is_somebody(self) -> bool:
        """Whether somebody uses the account, so that they may have paid and own something here."""
        return self.user.has_usable_password() or self.user.last_login is not None


@dataclass(frozen=True)
class Facts:
    """All that planning reads."""

    accounts: Mapping[str, RemoteAccountSeen]
    customers: Mapping[str, Customer]
    fits: PlanFits
    prices: Mapping[tuple[UUID, str, str], PlanPrice]
    currency: str


class Refused(Exception):
    """This server is not imported; the text says why."""


def plan_rows(server_import: ServerImport, *, at: datetime) -> list[ImportRow]:
    """A row for each server of the provider that is not ours, by name, and for each that only the mapping knows."""
    named = {row["ref"]: row for row in server_import.mapping}
    rows = RemoteServerSeen.objects.filter(provider=server_import.provider_id, is_present=True)
    rows = rows.filter(Q(server=None) | Q(server__status=ServerStatus.DELETED))
    seen = list(rows.select_related("server", "node__location").order_by("name", "ref"))
    facts = read_facts(server_import, named.values())
    planned = [plan_row(server_import, each, named.get(each.ref, {}), facts, at=at) for each in seen]
    unknown = set(named) - {each.ref for each in seen}
    note = _("The provider has no such server, or it is one of ours.")
    base = {"outcome": ImportOutcome.REFUSED, "note": note}
    planned += [ImportRow(**values_of(server_import, named[ref]), **base) for ref in sorted(unknown)]
    for position, row in enumerate(planned):
        row.position = position
    return planned


def plan_row(
    server_import: ServerImport, seen: RemoteServerSeen, said: Mapping[str, str], facts: Facts, *, at: datetime
) -> ImportRow:
    """What becomes of one server."""
    row = ImportRow(**values_of(server_import, {"ref": seen.ref, **said}), name=seen.name)
    try:
        if problem := adoption_problem(seen):
            raise Refused(problem)
        row.email = email_of(seen, said, facts)
        require_customer(row.email, seen, said, facts)
        if problem := match_problem(server_import, facts.customers.get(row.email), said):
            raise Refused(problem)
        fit = fit_of(seen, said, facts)
        row.plan = fit.plan
        if row.billed_from <= at.date():
            raise Refused(_("It is billed from a day that is not after today."))
        row.price = price_of(row, fit, facts)
        row.outcome, row.note = ImportOutcome.PLANNED, note_of(row, said, seen, facts)
    except Refused as refused:
        row.outcome, row.note = ImportOutcome.REFUSED, str(refused)
    row.note = row.note[:255]
    return row


def values_of(server_import: ServerImport, said: Mapping[str, str]) -> dict[str, Any]:
    """The columns that the mapping gives, or the import itself."""
    day = said.get("billed_from")
    return {
        "server_import": server_import,
        "ref": said["ref"][:64],
        "email": said.get("email", ""),
        "term": said.get("term", server_import.term),
        "billed_from": date.fromisoformat(day) if day else server_import.billed_from,
    }


def email_of(seen: RemoteServerSeen, said: Mapping[str, str], facts: Facts) -> str:
    """Whose it becomes: as the mapping says, else by the address of its account there. Raises Refused."""
    account = facts.accounts.get(seen.account_ref)
    email = said.get("email") or (account.email if account else "")
    if not email:
        raise Refused(_("The address of its account there is not known: name one in the mapping."))
    return email.lower()


def require_customer(email: str, seen: RemoteServerSeen, said: Mapping[str, str], facts: Facts) -> None:
    """Raise Refused where the address is no customer's, or not certainly theirs."""
    account, customer = facts.accounts.get(seen.account_ref), facts.customers.get(email)
    if "email" not in said and account is not None and account.is_admin:
        raise Refused(_("Its account administers the panel: name its customer's address in the mapping."))
    if customer is not None and customer.user.status not in {UserStatus.ACTIVE, UserStatus.PENDING_VERIFICATION}:
        raise Refused(_("The user %(email)s is suspended or deleted.") % {"email": email})
    if customer is not None and not customer.is_confirmed:
        raise Refused(_("The user %(email)s has not confirmed their address.") % {"email": email})


def match_problem(server_import: ServerImport, customer: Customer | None, said: Mapping[str, str]) -> str:
    """Why the server is not the customer's only because of its account's address; empty where staff said so.

    Whoever has an account at a provider can give it another address there, and need not prove that it is theirs.
    """
    if customer is None or not customer.is_somebody or "email" in said or server_import.matches_by_email:
        return ""
    text = _("Matched to %(organization)s only by email. Name the customer in the mapping, or confirm such matches.")
    return text % {"organization": customer.organization}


def fit_of(seen: RemoteServerSeen, said: Mapping[str, str], facts: Facts) -> PlanFit:
    """The plan that the mapping names, else the one that fits best. Raises Refused."""
    if code := said.get("plan"):
        fits = facts.fits.of_provider.get(seen.provider_id, [])
        named = next((fit for fit in fits if fit.plan.code == code), None)
        if problem := plan_problem(seen, named):
            raise Refused(f"{code}: {problem}")
    else:
        named = facts.fits.best(seen)
    if named is None:
        has = f"{formats.size(seen.memory_mib)}, {formats.size(seen.disk_mib)}"
        raise Refused(_("No plan that is built like it covers %(size)s: name one in the mapping.") % {"size": has})
    return named


def price_of(row: ImportRow, fit: PlanFit, facts: Facts) -> PlanPrice:
    """At which it will renew, in what its customer pays. Raises Refused where the plan has none."""
    customer = facts.customers.get(row.email)
    organization = customer.organization if customer else None
    is_fixed = organization is not None and organization.currency_fixed_at is not None
    currency = organization.currency if organization is not None and is_fixed else facts.currency
    price = facts.prices.get((fit.plan.pk, row.term, currency))
    if price is None:
        text = _("The plan %(plan)s has no price in %(currency)s for this billing cycle.")
        raise Refused(text % {"plan": fit.plan, "currency": currency})
    return price


def note_of(row: ImportRow, said: Mapping[str, str], seen: RemoteServerSeen, facts: Facts) -> str:
    """What happens to a server that is imported as the row says, in a line."""
    customer = facts.customers.get(row.email)
    size = size_of(seen, row.plan)  # type: ignore[arg-type]
    parts = [
        str(customer.organization) if customer else _("new customer"),
        f"{row.price}",
        _("keeps %(size)s") % {"size": f"{formats.size(size.memory_mib)}, {formats.size(size.disk_mib)}"},
    ]
    if customer is not None and customer.is_somebody and "email" not in said:
        parts.append(_("matched by email"))
    if seen.is_suspended:
        parts.append(_("stays suspended"))
    return " · ".join(parts)


def read_facts(server_import: ServerImport, named: Iterable[Mapping[str, str]]) -> Facts:
    """See `Facts`."""
    provider_id, currency = server_import.provider_id, str(site_settings.get("shop.currency"))
    accounts = RemoteAccountSeen.objects.filter(provider=provider_id, is_present=True)
    by_ref = {account.ref: account for account in accounts}
    emails = {account.email for account in by_ref.values()} | {row.get("email", "").lower() for row in named}
    fits = read_plan_fits(currency, provider_ids=[provider_id])
    plans = [fit.plan.pk for fit in fits.of_provider.get(provider_id, ())]
    prices = PlanPrice.objects.filter(plan__in=plans, superseded_at=None).select_related("plan")
    by_term = {(price.plan_id, str(price.term), price.currency): price for price in prices}
    return Facts(by_ref, customers_with(emails - {""}), fits, by_term, currency)


def customers_with(emails: Iterable[str]) -> dict[str, Customer]:
    """The users with these addresses, by the address in lower case; those without an organization are left out."""
    users = {user.pk: user for user in User.objects.filter(email__in=list(emails))}
    owned = Organization.objects.filter(owner__in=users).order_by("-is_personal", "created_at")
    organizations: dict[UUID, Organization] = {}
    for organization in owned:
        organizations.setdefault(organization.owner_id, organization)
    rows = EmailAddress.objects.filter(user__in=users, verified=True).values_list("user_id", "email")
    verified = {(user_id, email.lower()) for user_id, email in rows}
    return {
        user.email.lower(): Customer(
            user, organizations[pk], (pk, user.email.lower()) in verified or not user.has_usable_password()
        )
        for pk, user in users.items()
        if pk in organizations
    }
