"""The events that staff are told about; see `support.events`."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.queries import staff_with
from servers.events import (
    hytale_sign_ins_ending,
    hytale_sign_ins_needed,
    hytale_slots_filling,
    providers_suspected,
)
from servers.models import DriftFinding, HytaleAccount
from support.notifications import Event, register

# Told to the staff who can set the provider right.
register(
    Event(
        name="provider.suspected",
        signal=providers_suspected,
        ids="finding_ids",
        rows=DriftFinding.objects.select_related("provider"),
        recipient=lambda _finding: staff_with("servers.change_provider"),
        subject=_("{row.provider.name} misses many of our servers"),
        page=lambda finding: reverse("admin:servers_provider_change", args=[finding.provider_id]),
    )
)

# Told to the staff who can sign the account in, or may add another.
for name, signal, subject in (
    ("hytale.sign_in_needed", hytale_sign_ins_needed, _("Hytale servers cannot start: sign in {row.name} again")),
    ("hytale.sign_in_ending", hytale_sign_ins_ending, _("The Hytale account {row.name} is soon signed out")),
    ("hytale.slots_filling", hytale_slots_filling, _("Few Hytale sessions are left on {row.name}")),
):
    register(
        Event(
            name=name,
            signal=signal,
            ids="account_ids",
            rows=HytaleAccount.objects.all(),
            recipient=lambda _account: staff_with("servers.change_hytaleaccount"),
            key=lambda account, at: f"{account.pk}:{at:%Y%m%d%H%M%S}",
            subject=subject,
            page=lambda account: reverse("admin:servers_hytaleaccount_change", args=[account.pk]),
        )
    )
