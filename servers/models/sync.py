"""Syncs of a provider's inventory: their runs, the servers that they saw, and what they found to differ."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from servers.models.nodes import Node
from servers.models.providers import Provider
from servers.models.servers import Server


class SyncKind(models.TextChoices):
    FULL = "full", _("Full")
    LOCATIONS = "locations", _("Locations")
    NODES = "nodes", _("Nodes and ports")
    SERVERS = "servers", _("Servers")
    EGGS = "eggs", _("Nests and eggs")
    USERS = "users", _("Users")


class SyncState(StatusChoices):
    PENDING = "pending", Tone.NEUTRAL, _("Pending")
    RUNNING = "running", Tone.INFO, _("Running")
    COMPLETED = "completed", Tone.SUCCESS, _("Completed")
    FAILED = "failed", Tone.DANGER, _("Failed")


class SyncRun(StateMachine, Entity, Timestamped):
    """One inventory sync: what was read, what changed, how far it is, why it failed.

    `counts` has for each kind of rows how many were read, added, changed and removed; those read grow while it runs.
    """

    tenancy = tenancy.PRIVATE
    STATUS_FIELD: ClassVar[str] = "state"
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        SyncState.PENDING: {SyncState.RUNNING},
        SyncState.RUNNING: {SyncState.COMPLETED, SyncState.FAILED},
        SyncState.COMPLETED: set(),
        SyncState.FAILED: set(),
    }

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="sync_runs", db_index=False
    )  # servers_sync_run_latest begins with it
    kind = models.CharField(_("type"), max_length=12, choices=SyncKind, default=SyncKind.FULL)
    state = StatusField(max_length=12, choices=SyncState, default=SyncState.PENDING)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Empty: the schedule or a command."),
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    progress_percent = models.PositiveSmallIntegerField(_("progress (%)"), default=0)
    counts: Any = models.JSONField(_("counts"), default=dict, blank=True)
    metadata: Any = models.JSONField(
        default=dict, blank=True, help_text=_("How long each list took to read, in seconds.")
    )
    error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = _("sync run")
        verbose_name_plural = _("sync runs")
        ordering = ["-created_at"]
        constraints = [
            choices_check("servers_sync_run_kind_known", "kind", SyncKind),
            choices_check("servers_sync_run_state_known", "state", SyncState),
            iff(
                "servers_sync_run_started_iff_not_pending",
                models.Q(state=SyncState.PENDING),
                models.Q(started_at__isnull=True),
            ),
            iff(
                "servers_sync_run_finished_iff_ended",
                models.Q(state__in=[SyncState.COMPLETED, SyncState.FAILED]),
                models.Q(finished_at__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["provider", "kind"],
                condition=models.Q(state=SyncState.PENDING),
                name="servers_sync_run_one_pending",
            ),
            models.UniqueConstraint(
                fields=["provider"], condition=models.Q(state=SyncState.RUNNING), name="servers_sync_run_one_running"
            ),
        ]
        indexes = [models.Index(fields=["provider", "-created_at"], name="servers_sync_run_latest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M}"


class RemoteServerSeen(Entity, Timestamped):
    """A server that a sync saw at the provider, ours (`server`) or not. Sizes in MiB, 0 for unlimited or unknown."""

    tenancy = tenancy.PRIVATE

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="servers_seen", db_index=False
    )  # servers_remote_server_seen_once begins with it
    ref = models.CharField(_("panel ID"), max_length=64)
    key = models.CharField(_("key there"), max_length=191, blank=True, default="", help_text=_("Of ours: our own id."))
    server = models.ForeignKey(
        Server, null=True, blank=True, on_delete=models.PROTECT, related_name="seen_as", verbose_name=_("our server")
    )
    name = models.CharField(max_length=191, blank=True, default="")
    node = models.ForeignKey(
        Node, null=True, blank=True, on_delete=models.PROTECT, related_name="servers_seen", db_index=False
    )
    account_ref = models.CharField(_("account's panel ID"), max_length=64, blank=True, default="")
    memory_mib = models.PositiveBigIntegerField(_("memory (MiB)"))
    disk_mib = models.PositiveBigIntegerField(_("disk (MiB)"))
    cpu_percent = models.PositiveIntegerField(_("CPU (% of a core)"), default=0)
    is_suspended = models.BooleanField(_("suspended"), null=True, help_text=_("Empty: the provider does not say."))
    allocation_refs: Any = models.JSONField(_("ports' panel IDs"), default=list, blank=True)
    identifier = models.CharField(
        _("short panel ID"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("Empty: a server that is not ours cannot be made ours there."),
    )
    build_ref = models.CharField(
        _("egg or plan there"), max_length=64, blank=True, default="", help_text=_("Empty: the provider does not say.")
    )
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("server seen at a provider")
        verbose_name_plural = _("servers seen at providers")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["provider", "ref"], name="servers_remote_server_seen_once")]

    def __str__(self) -> str:
        return self.name or self.ref


class RemoteAccountSeen(Entity, Timestamped):
    """A user's account that a sync saw at a provider, ours or not."""

    tenancy = tenancy.PRIVATE

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="accounts_seen", db_index=False
    )  # servers_remote_account_seen_once begins with it
    ref = models.CharField(_("panel ID"), max_length=64)
    key = models.CharField(_("key there"), max_length=191, blank=True, default="", help_text=_("Of ours: our own id."))
    username = models.CharField(max_length=191, blank=True, default="")
    email = models.CharField(_("email"), max_length=191, blank=True, default="")
    is_admin = models.BooleanField(_("administrator of the panel"), default=False)
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("account seen at a provider")
        verbose_name_plural = _("accounts seen at providers")
        ordering = ["email"]
        constraints = [models.UniqueConstraint(fields=["provider", "ref"], name="servers_remote_account_seen_once")]

    def __str__(self) -> str:
        return self.email or self.username or self.ref


class DriftKind(StatusChoices):
    ORPHAN = "orphan", Tone.WARNING, _("Orphan")
    GHOST = "ghost", Tone.DANGER, _("Ghost")
    DUPLICATE = "duplicate", Tone.DANGER, _("Duplicate")
    KEY = "key", Tone.WARNING, _("Key erased")
    OWNER = "owner", Tone.DANGER, _("Wrong owner")
    LIMITS = "limits", Tone.WARNING, _("Other limits")
    NODE = "node", Tone.WARNING, _("Other node")
    SUSPENSION = "suspension", Tone.DANGER, _("Other suspension")
    UNLIMITED = "unlimited", Tone.WARNING, _("Without limits")
    NODE_SHRUNK = "node_shrunk", Tone.WARNING, _("Node too small")
    EGG_VARIABLE = "egg_variable", Tone.INFO, _("Repeated variable")
    EGG_DEFAULT = "egg_default", Tone.INFO, _("Refused default")
    ACCOUNT = "account", Tone.WARNING, _("Account gone")
    EMAIL = "email", Tone.WARNING, _("Other email address")
    MISSING = "missing", Tone.DANGER, _("Many servers missing")


class DriftFinding(Entity, Timestamped):
    """What a sync found to differ from our rows, or to be odd; open until a sync no longer finds it.

    `subject_ref` says of what: our id or the provider's. `expected` and `found` are values, not sentences. One that
    staff ignore stays ignored until a sync finds something else there.
    """

    tenancy = tenancy.PRIVATE

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="drift_findings", db_index=False
    )  # servers_drift_finding_one_open begins with it
    kind = StatusField(max_length=12, choices=DriftKind)
    subject = models.CharField(_("what"), max_length=191)
    subject_ref = models.CharField(_("its ID"), max_length=191)
    server = models.ForeignKey(
        Server, null=True, blank=True, on_delete=models.PROTECT, related_name="drift_findings", verbose_name=_("server")
    )
    expected = models.CharField(_("expected"), max_length=255, blank=True, default="")
    found = models.CharField(_("found"), max_length=255, blank=True, default="")
    found_at = models.DateTimeField(_("found at"))
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    ignored_at = models.DateTimeField(_("ignored since"), null=True, blank=True)
    ignored_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("ignored by"),
    )
    ignore_reason = models.CharField(_("why it is ignored"), max_length=191, blank=True, default="")

    class Meta:
        verbose_name = _("drift finding")
        verbose_name_plural = _("drift findings")
        ordering = ["-found_at"]
        constraints = [
            choices_check("servers_drift_finding_kind_known", "kind", DriftKind),
            iff(
                "servers_drift_finding_reason_iff_ignored",
                models.Q(ignored_at__isnull=True),
                models.Q(ignore_reason=""),
            ),
            models.UniqueConstraint(
                fields=["provider", "kind", "subject_ref"],
                condition=models.Q(closed_at__isnull=True),
                name="servers_drift_finding_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"
