"""Accounts that own the game Hytale, how staff sign them in, and the game sessions that its servers start with."""

from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.encryption import EncryptedTextField
from core.models import (
    Entity,
    Lane,
    StatusChoices,
    StatusField,
    Timestamped,
    Tone,
    WorkItem,
    WorkState,
    choices_check,
    iff,
)
from servers.models.servers import Server

HYTALE: Lane = Lane("hytale", {"account_id": 1})


class HytaleState(StatusChoices):
    SIGNED_OUT = "signed_out", Tone.NEUTRAL, _("Not signed in")
    SIGNED_IN = "signed_in", Tone.SUCCESS, _("Signed in")
    SIGN_IN_NEEDED = "needed", Tone.DANGER, _("Sign-in needed")


class HytaleAccount(Entity, Timestamped):
    """An account that owns the game. Its refresh token has one writer at a time (`servers.hytale.tokens`)."""

    tenancy = tenancy.PRIVATE

    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("No server starts with an account that is not.")
    )
    slots = models.IntegerField(
        _("session limit"),
        default=100,
        validators=[MinValueValidator(1)],
        help_text=_("How many servers Hytale lets run with this account at once: 100, unless it agreed to more."),
    )
    state = StatusField(max_length=10, choices=HytaleState, default=HytaleState.SIGNED_OUT)
    problem = models.CharField(_("problem"), max_length=255, blank=True, default="")
    profiles: Any = models.JSONField(
        _("profiles"), default=list, blank=True, help_text=_("As Hytale listed them at the last sign-in.")
    )
    profile = models.CharField(
        _("profile"), max_length=64, blank=True, default="", help_text=_("With which its servers run, by its UUID.")
    )
    refresh_token = EncryptedTextField(_("refresh token"), null=True, blank=True)
    refreshed_at = models.DateTimeField(_("refresh token since"), null=True, blank=True)
    refresh_asked_at = models.DateTimeField(_("refresh requested at"), null=True, blank=True)
    unanswered_refreshes = models.PositiveSmallIntegerField(
        _("refreshes without an answer"), default=0, help_text=_("Counted before each, and zero again with its answer.")
    )
    access_token = EncryptedTextField(_("access token"), null=True, blank=True)
    access_until = models.DateTimeField(_("access token until"), null=True, blank=True)
    full_until = models.DateTimeField(
        _("full until"),
        null=True,
        blank=True,
        help_text=_("Hytale refused another session although we counted fewer: others use the account, too."),
    )
    end_told_at = models.DateTimeField(_("told that the sign-in ends at"), null=True, blank=True)
    filling_told_at = models.DateTimeField(_("told that few sessions are left at"), null=True, blank=True)

    class Meta:
        verbose_name = _("Hytale account")
        verbose_name_plural = _("Hytale accounts")
        constraints = [
            choices_check("servers_hytale_account_state_known", "state", HytaleState),
            models.CheckConstraint(name="servers_hytale_account_has_slots", condition=models.Q(slots__gte=1)),
            iff(
                "servers_hytale_account_token_iff_signed_in",
                models.Q(state=HytaleState.SIGNED_IN),
                models.Q(refresh_token__isnull=False, refreshed_at__isnull=False),
            ),
        ]

    @property
    def profile_name(self) -> str:
        """The chosen profile's name; empty where none is chosen."""
        return next((str(each["username"]) for each in self.profiles if each["uuid"] == self.profile), self.profile)

    def __str__(self) -> str:
        return self.name


class SignInOutcome(StatusChoices):
    """How a sign-in ended; the label says it to staff."""

    SIGNED_IN = "signed_in", Tone.SUCCESS, _("Signed in")
    DENIED = "denied", Tone.DANGER, _("It was denied on Hytale's page. Sign in again.")
    EXPIRED = "expired", Tone.WARNING, _("Nobody entered the code in time. Sign in again.")
    LOST = "lost", Tone.WARNING, _("The code was used, and Hytale's answer was lost. Sign in again.")
    REFUSED = "refused", Tone.DANGER, _("Hytale refused it.")


class HytaleWork(Entity, WorkItem):
    """Work that calls Hytale for one account."""

    tenancy = tenancy.PRIVATE
    LANE: ClassVar[Lane | None] = HYTALE

    class Meta(WorkItem.Meta):
        abstract = True
        indexes: ClassVar[list[Any]] = [
            *WorkItem.Meta.indexes,
            models.Index(
                fields=["lease_until"],
                name="%(app_label)s_%(class)s_lease",
                condition=models.Q(state=WorkState.RUNNING),
            ),
        ]


class HytaleSignIn(HytaleWork):
    """A device sign-in of an account, which a worker polls until a person has answered on Hytale's page."""

    account = models.ForeignKey(HytaleAccount, on_delete=models.PROTECT, related_name="sign_ins")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(_("requested at"))
    device_code = EncryptedTextField(null=True, blank=True)
    user_code = models.CharField(_("code"), max_length=32, blank=True, default="")
    address = models.CharField(_("Hytale's page"), max_length=500, blank=True, default="")
    poll_seconds = models.PositiveIntegerField(_("seconds between questions"), default=5)
    expires_at = models.DateTimeField(_("code expires at"), null=True, blank=True)
    outcome = StatusField(_("outcome"), max_length=10, choices=SignInOutcome, blank=True, default="")
    problem = models.CharField(_("problem"), max_length=255, blank=True, default="")

    class Meta(HytaleWork.Meta):
        abstract = False
        verbose_name = _("Hytale sign-in")
        verbose_name_plural = _("Hytale sign-ins")
        constraints: ClassVar[list[Any]] = [
            *WorkItem.Meta.constraints,
            models.CheckConstraint(
                name="servers_hytale_sign_in_outcome_known",
                condition=models.Q(outcome__in=["", *SignInOutcome.values]),
            ),
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(outcome=""), name="servers_hytale_one_open_sign_in"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.requested_at:%Y-%m-%d %H:%M}"


class SessionStatus(StatusChoices):
    REQUESTED = "requested", Tone.INFO, _("Requested")
    OPEN = "open", Tone.SUCCESS, _("Open")
    ENDING = "ending", Tone.INFO, _("Ending")
    LAPSING = "lapsing", Tone.NEUTRAL, _("Lapsing")
    ENDED = "ended", Tone.NEUTRAL, _("Ended")


class HytaleSession(HytaleWork):
    """A game session that a server starts with. Until it has ended it takes a slot of its account.

    One that is requested may exist: its answer was lost, or its worker died. One that lapses may live under a token
    that only its server knows. The identity token is there until it was used. As work it is looked at now and then,
    and ended.
    """

    account = models.ForeignKey(HytaleAccount, on_delete=models.PROTECT, related_name="sessions", db_index=False)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="hytale_sessions")
    profile = models.CharField(_("profile"), max_length=64)
    status = StatusField(max_length=10, choices=SessionStatus, default=SessionStatus.REQUESTED)
    requested_at = models.DateTimeField(_("requested at"))
    expires_at = models.DateTimeField(
        _("token expires at"), null=True, blank=True, help_text=_("A server that runs renews it by itself.")
    )
    slot_until = models.DateTimeField(_("takes a slot until"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    session_token = EncryptedTextField(null=True, blank=True)
    identity_token = EncryptedTextField(null=True, blank=True)

    class Meta(HytaleWork.Meta):
        abstract = False
        verbose_name = _("Hytale session")
        verbose_name_plural = _("Hytale sessions")
        constraints: ClassVar[list[Any]] = [
            *WorkItem.Meta.constraints,
            choices_check("servers_hytale_session_status_known", "status", SessionStatus),
            iff(
                "servers_hytale_session_ended_at_iff_ended",
                models.Q(status=SessionStatus.ENDED),
                models.Q(ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="servers_hytale_session_token_while_open",
                condition=models.Q(status=SessionStatus.OPEN, session_token__isnull=False, expires_at__isnull=False)
                | models.Q(status=SessionStatus.ENDING, session_token__isnull=False)
                | models.Q(
                    status__in=[SessionStatus.REQUESTED, SessionStatus.LAPSING, SessionStatus.ENDED],
                    session_token__isnull=True,
                    identity_token__isnull=True,
                ),
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            *HytaleWork.Meta.indexes,
            models.Index(
                fields=["account"],
                name="servers_hytale_session_slots",
                condition=models.Q(ended_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.server} {self.requested_at:%Y-%m-%d %H:%M}"
