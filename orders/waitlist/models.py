"""Waiting for a plan that is sold out in a region."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import Plan
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check
from servers.models import Region, Reservation


class WaitlistStatus(StatusChoices):
    WAITING = "waiting", Tone.INFO, _("Waiting")
    OFFERED = "offered", Tone.SUCCESS, _("Reserved for you")
    ORDERED = "ordered", Tone.NEUTRAL, _("Ordered")
    EXPIRED = "expired", Tone.NEUTRAL, _("Expired")
    LEFT = "left", Tone.NEUTRAL, _("Left")


_S = WaitlistStatus
OPEN = (_S.WAITING, _S.OFFERED)


class WaitlistEntry(StateMachine, Entity, Timestamped):
    """An organization that waits for a plan in a region; the one that joined first is first.

    When there is capacity again it is reserved for the entry until `expires_at`, with a piece of the plan's limited
    stock. An order takes that very reservation. Where it is canceled before `expires_at`, that is the entry's again.
    """

    tenancy = tenancy.OWNED
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.WAITING: {_S.OFFERED, _S.LEFT},
        _S.OFFERED: {_S.ORDERED, _S.EXPIRED, _S.LEFT},
        _S.ORDERED: {_S.OFFERED},
        _S.EXPIRED: set(),
        _S.LEFT: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    joined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("joined by")
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    status = StatusField(max_length=8, choices=WaitlistStatus, default=WaitlistStatus.WAITING)
    joined_at = models.DateTimeField(_("joined at"))
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="waitlist_entry"
    )
    is_stock_taken = models.BooleanField(
        _("takes limited stock"), default=False, help_text=_("One piece of the plan's limited stock is kept for it.")
    )
    offered_at = models.DateTimeField(_("reserved at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("reserved until"), null=True, blank=True)

    class Meta:
        verbose_name = _("waitlist entry")
        verbose_name_plural = _("waitlist")
        ordering = ["joined_at", "pk"]
        indexes = [
            models.Index(
                fields=["plan", "region", "joined_at"],
                condition=models.Q(status="waiting"),
                name="orders_waitlist_line",
            ),
            models.Index(fields=["expires_at"], condition=models.Q(status="offered"), name="orders_waitlist_expiry"),
        ]
        constraints = [
            choices_check("orders_waitlist_status_known", "status", WaitlistStatus),
            models.UniqueConstraint(
                fields=["organization", "plan", "region"],
                condition=models.Q(status__in=OPEN),
                name="orders_waitlist_once",
            ),
            models.CheckConstraint(
                name="orders_waitlist_with_reservation_iff_offered",
                condition=models.Q(
                    status="waiting",
                    reservation__isnull=True,
                    offered_at__isnull=True,
                    expires_at__isnull=True,
                    is_stock_taken=False,
                )
                | models.Q(status__in=["left", "ordered"])
                | models.Q(
                    status__in=["offered", "expired"],
                    reservation__isnull=False,
                    offered_at__isnull=False,
                    expires_at__isnull=False,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan}, {self.region}"
