"""What is asked of a provider while somebody looks at a server's page: its figures, and power actions."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core.models import Entity, Lane, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from servers.drivers.base import PowerAction
from servers.models.access import PART_OF_SERVER
from servers.models.provider_task import ProviderTask
from servers.models.servers import Server

# Both kinds of call reach the server's node through its provider: a node that hangs keeps one worker, not both.
LIVE: Lane = Lane("live", {"provider_id": 2, "node_id": 1})


class UsageTask(ProviderTask):
    """Sample what a running server uses: now and then, and often until `watched_until`, which its page moves on while
    somebody looks at it.
    """

    LANE: ClassVar[Lane] = LIVE

    server = models.OneToOneField(Server, on_delete=models.PROTECT, related_name="usage_task")
    watched_until = models.DateTimeField()
    disk_told_at = models.DateTimeField(
        _("told that the disk is nearly full at"), null=True, blank=True, help_text=_("Empty again when it is not.")
    )

    game_silent_at = models.DateTimeField(
        _("game did not answer at"), null=True, blank=True, help_text=_("Empty: it said who plays, or was not asked.")
    )

    class Meta(ProviderTask.Meta):
        abstract = False
        verbose_name = _("usage task")
        verbose_name_plural = _("usage tasks")

    def __str__(self) -> str:
        return f"{self.server}: {self.get_state_display()}"


class PowerStatus(StatusChoices):
    """A driver's PowerState as customers read it."""

    OFF = "off", Tone.NEUTRAL, _("Stopped")
    STARTING = "starting", Tone.INFO, _("Starting")
    RUNNING = "running", Tone.SUCCESS, _("Running")
    STOPPING = "stopping", Tone.INFO, _("Stopping")


class UsageSample(Entity):
    """What a server used at one moment. The table is unlogged: a crash empties it, and that loses nothing."""

    tenancy = PART_OF_SERVER

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="usage_samples", db_index=False)
    at = models.DateTimeField()
    power_state = StatusField(max_length=8, choices=PowerStatus)
    cpu_percent = models.DecimalField(max_digits=12, decimal_places=3)
    memory_mib = models.BigIntegerField()
    disk_mib = models.BigIntegerField()
    received_bytes = models.BigIntegerField()
    sent_bytes = models.BigIntegerField()
    uptime_seconds = models.BigIntegerField()
    players = models.PositiveIntegerField(_("players"), null=True, blank=True, help_text=_("Empty: nobody told."))
    players_limit = models.PositiveIntegerField(_("player limit"), null=True, blank=True)
    player_names: Any = models.JSONField(_("names of players"), default=list, blank=True)

    class Meta:
        verbose_name = _("usage sample")
        verbose_name_plural = _("usage samples")
        constraints = [
            choices_check("servers_usage_power_state_known", "power_state", PowerStatus),
            iff(
                "servers_usagesample_with_limit",
                models.Q(players__isnull=False),
                models.Q(players_limit__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["server", "at"], name="servers_usage_of_server"),  # a server's page
            models.Index(fields=["at"], name="servers_usage_old"),  # what is deleted
        ]

    def __str__(self) -> str:
        return f"{self.power_state} {self.at:%H:%M:%S}"


class UsageBucket(Entity, Timestamped):
    """What a server used in one stretch of time: the samples of so many `minutes` from `starts_at` on, rolled up.

    The sums divided by `samples` are averages. Memory and disk in MiB, cpu in percent of one core.
    """

    tenancy = PART_OF_SERVER

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, db_index=False)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="usage_buckets", db_index=False)
    minutes = models.PositiveSmallIntegerField(_("minutes"))
    starts_at = models.DateTimeField(_("from"))
    samples = models.PositiveIntegerField(_("samples"))
    cpu_sum = models.DecimalField(_("sum of CPU"), max_digits=18, decimal_places=3)
    memory_sum_mib = models.BigIntegerField(_("sum of memory (MiB)"))
    disk_mib = models.BigIntegerField(_("disk at the end (MiB)"))

    class Meta:
        verbose_name = _("usage history")
        verbose_name_plural = _("usage history")
        constraints = [
            models.UniqueConstraint(fields=["server", "minutes", "starts_at"], name="servers_usage_bucket_once")
        ]
        indexes = [models.Index(fields=["minutes", "starts_at"], name="servers_usage_bucket_old")]

    def __str__(self) -> str:
        return f"{self.minutes} min {self.starts_at:%Y-%m-%d %H:%M}"


class PowerOutcome(models.TextChoices):
    """How a power action ended; the label says it to the customer."""

    SENT = "sent", _("Sent")
    NO_ACCESS = "no_access", _("Whoever asked for it may not do that any more, so nothing was changed.")
    NOT_INSTALLED = "not_installed", _("The server cannot be started or stopped in its present state.")
    UNSUPPORTED = "unsupported", _("This server cannot be started or stopped from here.")
    BUSY = "busy", _("The server is busy with something else at the moment. Try again in a minute.")
    NOT_ON_NODE = "not_on_node", _("The server was not found on its node. Please contact support.")
    REFUSED = "refused", _("The server's node refused it. Please contact support.")
    NOT_SENT = (
        "not_sent",
        _("It could not be sent in time, so nothing was changed. Try again in a few minutes."),
    )
    NO_SLOT = "no_slot", _("As many of this game's servers run as its maker lets us run at once.")
    TOO_OFTEN = "too_often", _("The server was started too often in a short time.")
    NO_SIGN_IN = "no_sign_in", _("The shop is not signed in with this game's maker. We have been told.")
    NO_ANSWER = "no_answer", _("The server's node did not answer in time. Look at the status before you try again.")


class PowerTask(ProviderTask):
    """Send the latest power action that was requested of a server. The row stays, and says how it ended.

    `outcome` says "no answer" from the moment before the action is sent until more is known.
    """

    LANE: ClassVar[Lane] = LIVE

    server = models.OneToOneField(Server, on_delete=models.PROTECT, related_name="power_task")
    action = models.CharField(max_length=8, choices=[(action.value, action.value) for action in PowerAction])
    requested_at = models.DateTimeField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    outcome = models.CharField(max_length=14, choices=PowerOutcome, blank=True, default="")
    retry_at = models.DateTimeField(
        _("possible again at"), null=True, blank=True, help_text=_("Where it could not be sent for lack of something.")
    )

    class Meta(ProviderTask.Meta):
        abstract = False
        verbose_name = _("power task")
        verbose_name_plural = _("power tasks")
        constraints: ClassVar[list[Any]] = [
            *ProviderTask.Meta.constraints,
            models.CheckConstraint(
                name="servers_power_action_known",
                condition=models.Q(action__in=[action.value for action in PowerAction]),
            ),
            models.CheckConstraint(
                name="servers_power_outcome_known",
                condition=models.Q(outcome__in=["", *PowerOutcome.values]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.server}: {self.get_state_display()}"
