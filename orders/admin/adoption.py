"""Taking over a server that a provider has: whose it becomes, as which plan, and from when on it is billed."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleDateWidget, UnfoldAdminTextInputWidget

from accounts.models import Organization
from catalog.models import Plan, Term
from core import clock, formats, site_settings
from core.admin_base import ActionContext, ActionError
from core.admin_base.actions import ActionForm
from core.ids import uuid_of
from orders import adoption
from servers.adoption import NotAdoptable, adoption_problem, plan_problem
from servers.models import DriftFinding, RemoteServerSeen
from servers.plan_fits import read_plan_fits


def seen_of(row: DriftFinding | RemoteServerSeen) -> RemoteServerSeen | None:
    """The server that the row is about, with what `adoption_problem` reads; None where no sync saw it."""
    rows = RemoteServerSeen.objects.select_related("server", "node__location", "provider")
    if isinstance(row, RemoteServerSeen):
        return rows.get(pk=row.pk)
    return rows.filter(provider=row.provider_id, ref=row.subject_ref).first()


def by_node(rows: list[Any]) -> list[Any]:
    """Findings or servers seen, in the order in which the nodes of several are locked; one query."""
    refs = [row.ref if isinstance(row, RemoteServerSeen) else row.subject_ref for row in rows]
    seen = RemoteServerSeen.objects.filter(provider__in={row.provider_id for row in rows}, ref__in=refs)
    nodes = {(provider, ref): str(node) for provider, ref, node in seen.values_list("provider_id", "ref", "node_id")}
    in_order = sorted(zip(rows, refs, strict=True), key=lambda pair: nodes.get((pair[0].provider_id, pair[1]), ""))
    return [row for row, _ref in in_order]


def is_adoptable(row: DriftFinding | RemoteServerSeen) -> bool:
    """Whether it can become a server of ours."""
    seen = seen_of(row)
    return seen is not None and not adoption_problem(seen)


class BilledForm(ActionForm):
    """How servers that were there before are billed, and from when on."""

    term = forms.ChoiceField(
        label=gettext_lazy("Billing cycle"),
        choices=[(term.value, term.label) for term in adoption.TERMS],
        initial=Term.MONTHLY,
        widget=UnfoldAdminSelectWidget,
    )
    billed_from = forms.DateField(
        label=gettext_lazy("Billed from"),
        widget=UnfoldAdminSingleDateWidget,
        help_text=gettext_lazy("The first day of the first period that we bill. Until then it is paid elsewhere."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["billed_from"].initial = adoption.first_of_next_month(clock.now().date())

    def clean_billed_from(self) -> date:
        """A later day than today."""
        day: date = self.cleaned_data["billed_from"]
        if day <= clock.now().date():
            raise forms.ValidationError(_("Enter a day after today."))
        return day


class BuyerForm(BilledForm):
    """Whose servers they become, as which plan and from when on they are billed."""

    field_order = ("organization", "plan", "term", "billed_from")

    organization = forms.CharField(
        label=gettext_lazy("Organization"),
        max_length=191,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Its slug, its ID, or the email address of its owner."),
    )
    plan = forms.ModelChoiceField(
        label=gettext_lazy("Plan"), queryset=Plan.objects.none(), widget=UnfoldAdminSelectWidget
    )

    @property
    def consequences(self) -> list[str]:  # type: ignore[override]
        """What it means."""
        if self.rows:
            return [
                _("Nothing is installed, restarted or moved. Our key is written to each."),
                _("They are given to the account there of the organization's owner, and are billed one by one."),
            ]
        return [
            _("Nothing is installed, restarted or moved. Our key is written to it."),
            _("It is given to the account there of the organization's owner; the first invoice is issued in its time."),
        ]

    def clean_organization(self) -> Organization:
        """The one that is named exactly."""
        text = self.cleaned_data["organization"].strip()
        named = Q(slug=text) | Q(owner__email__iexact=text, is_personal=True)
        found = list(Organization.objects.filter(named).select_related("owner")[:2])
        if not found and (key := uuid_of(text)) is not None:
            found = list(Organization.objects.filter(pk=key).select_related("owner"))
        if len(found) != 1:
            raise forms.ValidationError(_("No organization has this slug, ID or owner."))
        return found[0]


class AdoptForm(BuyerForm):
    """Of one server: only the plans that are built like it, and the one that suits it best."""

    def __init__(self, *args: Any, row: DriftFinding | RemoteServerSeen, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.seen = seen_of(row)
        if self.seen is not None:
            found = read_plan_fits(str(site_settings.get("shop.currency")), provider_ids=[self.seen.provider_id])
            fits = [fit for fit in found.of_provider.get(self.seen.provider_id, ()) if fit.is_built_like(self.seen)]
            best = found.best(self.seen)
            plan = self.fields["plan"]
            plan.queryset = Plan.objects.filter(pk__in=[fit.plan.pk for fit in fits]).select_related("product")
            plan.initial = best.plan.pk if best else None
            has = f"{formats.size(self.seen.memory_mib)}, {formats.size(self.seen.disk_mib)}"
            plan.help_text = _("It has %(size)s, and keeps that. Databases and backups are the plan's.") % {"size": has}


class AdoptSelectedForm(BuyerForm):
    """Of several: every plan that is built at one of their providers. What cannot become it is left as it is."""

    def __init__(self, *args: Any, rows: Sequence[DriftFinding | RemoteServerSeen], **kwargs: Any) -> None:
        super().__init__(*args, rows=rows, **kwargs)
        currency = str(site_settings.get("shop.currency"))
        found = read_plan_fits(currency, provider_ids={row.provider_id for row in rows})
        plans = {fit.plan.pk for fits in found.of_provider.values() for fit in fits}
        plan = self.fields["plan"]
        plan.queryset = Plan.objects.filter(pk__in=plans).select_related("product")
        plan.help_text = _("Each keeps the size that it has. What cannot become this plan is left as it is.")


def adopt(row: DriftFinding | RemoteServerSeen, context: ActionContext) -> str:
    """Take the server over."""
    seen, data = seen_of(row), context.data
    if seen is None:
        raise ActionError(_("The provider no longer has it."))
    organization, plan = data["organization"], data["plan"]
    fits = read_plan_fits(adoption.currency_of(organization), provider_ids=[seen.provider_id])
    fit = fits.of_plan(seen.provider_id, plan.pk)
    if fit is None:
        raise ActionError(plan_problem(seen, fit), field="plan")
    price = adoption.price_of(fit, data["term"], organization)
    if price is None:
        text = _("The plan has no price for this billing cycle in %(currency)s, in which the organization pays.")
        raise ActionError(text % {"currency": fits.currency}, field="term")
    sale = adoption.Sale(organization, organization.owner, fit, price, adoption.start_of(data["billed_from"]))
    try:
        server = adoption.adopt(seen=seen, sale=sale, actor=context.user, at=context.at)
    except NotAdoptable as error:
        raise ActionError(str(error)) from error
    return _("%(server)s belongs to %(organization)s now.") % {"server": server, "organization": organization}
