"""Servers: the desired state, beside what was last observed."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import Kind, Plan
from core.encryption import EncryptedTextField
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from servers.models.access import PART_OF_SERVER, SERVER
from servers.models.blueprints import Blueprint
from servers.models.nodes import Node
from servers.models.reservations import Reservation


class DesiredState(StatusChoices):
    PRESENT = "present", Tone.NEUTRAL, _("Keep")
    ABSENT = "absent", Tone.WARNING, _("Delete")


class ServerStatus(StatusChoices):
    PENDING = "pending", Tone.INFO, _("Waiting")
    INSTALLING = "installing", Tone.INFO, _("Installing")
    RUNNING = "running", Tone.SUCCESS, _("Running")
    STOPPED = "stopped", Tone.NEUTRAL, _("Stopped")
    SUSPENDED = "suspended", Tone.WARNING, _("Suspended")
    FAILED = "failed", Tone.DANGER, _("Failed")
    DELETING = "deleting", Tone.INFO, _("Deleting")
    DELETED = "deleted", Tone.NEUTRAL, _("Deleted")


_S = ServerStatus


class Server(StateMachine, Entity, Timestamped):
    """A server that a customer pays for. Sizes in MiB, cpu in percent of a core.

    Our row is the truth, and the panel is made to follow. The id is the key that every panel is given. `status` is what
    the customer sees, `observed` what the panel answered last.
    """

    tenancy = SERVER
    hidden_fields = ("build", "create_note", "root_password")
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.PENDING: {_S.INSTALLING, _S.RUNNING, _S.STOPPED, _S.SUSPENDED, _S.FAILED, _S.DELETING, _S.DELETED},
        _S.INSTALLING: {_S.RUNNING, _S.STOPPED, _S.SUSPENDED, _S.FAILED, _S.DELETING, _S.PENDING},
        _S.RUNNING: {_S.STOPPED, _S.SUSPENDED, _S.INSTALLING, _S.FAILED, _S.DELETING, _S.PENDING},
        _S.STOPPED: {_S.RUNNING, _S.SUSPENDED, _S.INSTALLING, _S.FAILED, _S.DELETING, _S.PENDING},
        _S.SUSPENDED: {_S.RUNNING, _S.STOPPED, _S.INSTALLING, _S.FAILED, _S.DELETING, _S.PENDING},
        _S.FAILED: {_S.PENDING, _S.INSTALLING, _S.RUNNING, _S.STOPPED, _S.SUSPENDED, _S.DELETING, _S.DELETED},
        _S.DELETING: {_S.DELETED, _S.FAILED},
        _S.DELETED: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="servers", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="servers",
        help_text=_("Whose account on the panel the server belongs to."),
        verbose_name=_("owner"),
    )
    name = models.CharField(_("name"), max_length=64)
    hostname = models.CharField(max_length=191, blank=True, default="")
    kind = models.CharField(max_length=10, choices=Kind)
    blueprint = models.ForeignKey(Blueprint, on_delete=models.PROTECT, related_name="servers")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="servers")
    plan_ref = models.CharField(
        _("provider's plan"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("A machine's size as it was sold, by the provider's own name."),
    )
    build: Any = models.JSONField(
        _("build"),
        default=dict,
        blank=True,
        help_text=_("What a machine or a container is built from, as it was sold. Games are built from their egg."),
    )
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="servers")
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="server"
    )
    desired_state = StatusField(max_length=8, choices=DesiredState, default=DesiredState.PRESENT)
    status = StatusField(max_length=12, choices=ServerStatus, default=ServerStatus.PENDING)
    failure = models.CharField(_("reason of failure"), max_length=255, blank=True, default="")
    variable_errors: Any = models.JSONField(
        _("refused settings"), default=dict, blank=True, help_text=_("What is wrong with which variable, by its name.")
    )
    ref = models.CharField(_("panel ID"), max_length=64, blank=True, default="", help_text=_("The panel's own id."))
    identifier = models.CharField(
        _("short panel ID"), max_length=64, blank=True, default="", help_text=_("The panel's short id.")
    )
    ip = models.CharField(_("IP address"), max_length=45, blank=True, default="")
    port = models.PositiveIntegerField(null=True, blank=True)
    address = models.CharField(max_length=200, blank=True, default="")
    cpu_percent = models.PositiveIntegerField(_("CPU (% of a core)"), help_text=_("100 is one core."))
    memory_mib = models.PositiveIntegerField(_("memory (MiB)"))
    disk_mib = models.PositiveIntegerField(_("disk (MiB)"))
    resize_asked_at = models.DateTimeField(
        _("resizing requested at"), null=True, blank=True, help_text=_("Empty: the provider has its present size.")
    )
    root_password = EncryptedTextField(
        _("root password"),
        null=True,
        blank=True,
        help_text=_("What a machine is built with, until its customer has seen it."),
    )
    generation = models.PositiveSmallIntegerField(
        default=0, help_text=_("How often another organization got it: with it, its own passwords become others.")
    )
    handover: Any = models.JSONField(
        _("handing over"),
        null=True,
        blank=True,
        help_text=_("Until the access of whoever had it before has ended at its provider: what was done of that."),
    )
    databases_limit = models.PositiveIntegerField(_("databases"), default=0)
    backups_limit = models.PositiveIntegerField(_("backups"), default=0)
    ports_limit = models.PositiveIntegerField(_("ports"), default=0)
    observed: Any = models.JSONField(_("state on the panel"), default=dict, blank=True)
    observed_at = models.DateTimeField(_("last seen at"), null=True, blank=True)
    is_backed_up = models.BooleanField(
        _("final backup kept"), default=False, help_text=_("A copy of its disk stays at the provider.")
    )
    create_attempts = models.PositiveIntegerField(_("creations requested"), default=0)
    create_asked_at = models.DateTimeField(_("creation requested at"), null=True, blank=True)
    create_missed_at = models.DateTimeField(
        _("first not found at"),
        null=True,
        blank=True,
        help_text=_("The panel's answer to the creation was lost, and the server was not found then."),
    )
    create_note: Any = models.JSONField(
        _("before the creation"),
        default=dict,
        blank=True,
        help_text=_("What the provider had before, by which a creation whose answer was lost is found."),
    )
    layers_done = models.PositiveSmallIntegerField(_("layers downloaded"), null=True, blank=True)
    layers_total = models.PositiveSmallIntegerField(
        _("layers of the image"), null=True, blank=True, help_text=_("While its host downloads the image.")
    )
    install_deadline_at = models.DateTimeField(_("installation must end by"), null=True, blank=True)
    is_install_doubtful = models.BooleanField(
        _("installation result unknown"),
        default=False,
        help_text=_("A suspension hid how the installation ended; only installing again can tell."),
    )
    installed_at = models.DateTimeField(null=True, blank=True)
    reinstall_asked_at = models.DateTimeField(
        _("installation requested at"),
        null=True,
        blank=True,
        help_text=_("Another time, or where creating does not install."),
    )
    start_asked_at = models.DateTimeField(_("start requested at"), null=True, blank=True)
    running_at = models.DateTimeField(
        _("first running at"), null=True, blank=True, help_text=_("First confirmed by the panel.")
    )
    vanished_at = models.DateTimeField(
        _("gone since"), null=True, blank=True, help_text=_("It existed, and the provider no longer has it.")
    )
    recreate_asked_at = models.DateTimeField(
        _("creation again requested at"),
        null=True,
        blank=True,
        help_text=_("A person wants it anew, without files."),
    )
    delete_asked_at = models.DateTimeField(_("deletion requested at"), null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    metadata: Any = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")
        ordering = ["name"]
        indexes = [
            models.Index(fields=["organization", "name"], name="servers_server_of_org"),
            models.Index(fields=["-created_at"], name="servers_server_created"),
            models.Index(fields=["ref"], condition=~models.Q(ref=""), name="servers_server_ref"),
            models.Index(
                fields=["-updated_at"], condition=models.Q(status=ServerStatus.FAILED), name="servers_server_failed"
            ),
            models.Index(
                fields=["observed_at"], condition=~models.Q(status=ServerStatus.DELETED), name="servers_server_recheck"
            ),
        ]
        constraints = [
            choices_check("servers_server_status_known", "status", ServerStatus),
            choices_check("servers_server_kind_known", "kind", Kind),
            choices_check("servers_server_desired_state_known", "desired_state", DesiredState),
            iff(
                "servers_server_deleted_at_iff_deleted",
                models.Q(status=ServerStatus.DELETED),
                models.Q(deleted_at__isnull=False),
            ),
            models.CheckConstraint(
                name="servers_server_pulled_within_layers",
                condition=models.Q(layers_done=None, layers_total=None)
                | models.Q(layers_done__isnull=False, layers_total__isnull=False)
                & models.Q(layers_done__lte=models.F("layers_total")),
            ),
        ]

    def transition_to(self, status: Any) -> None:
        """See `StateMachine`; the same status is always allowed, since convergence runs again and again."""
        if status != self.status:
            super().transition_to(status)

    @property
    def secret_key(self) -> str:
        """What its own passwords are derived from: the same as long as one organization has it."""
        return f"{self.pk}:{self.generation}" if self.generation else str(self.pk)

    @property
    def pull_progress(self) -> str:
        """How far the download of its image is; empty where none is under way."""
        if self.layers_total is None:
            return ""
        text = gettext("Downloading the image: {done} of {total} layers")
        return text.format(done=self.layers_done, total=self.layers_total)

    def has_holds(self) -> bool:
        """Whether a reason to keep the server suspended is in force."""
        return self.holds.filter(lifted_at=None).exists()

    def is_suspended_for_billing_only(self) -> bool:
        """Whether paying would end the suspension: every reason in force is an unpaid invoice."""
        kinds = set(self.holds.filter(lifted_at=None).values_list("kind", flat=True))
        return kinds == {HoldKind.BILLING}

    def __str__(self) -> str:
        return self.name


class HoldKind(models.TextChoices):
    BILLING = "billing", _("Billing")
    ABUSE = "abuse", _("Abuse")
    MANUAL = "manual", _("Manual")


class ServerHold(Entity, Timestamped):
    """A reason to keep a server suspended, in force until it is lifted. A payment lifts only billing holds."""

    tenancy = PART_OF_SERVER

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="holds")
    kind = models.CharField(max_length=8, choices=HoldKind)
    reason = models.CharField(max_length=191)
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    placed_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("server hold")
        verbose_name_plural = _("server holds")
        constraints = [
            choices_check("servers_hold_kind_known", "kind", HoldKind),
            models.UniqueConstraint(
                fields=["server", "kind"], condition=models.Q(lifted_at__isnull=True), name="servers_hold_one_of_a_kind"
            ),
        ]

    @property
    def server_names(self) -> list[str]:
        """The servers of its organization that were held by the same act."""
        held = Server.objects.filter(
            holds__organization=self.organization_id, holds__kind=self.kind, holds__placed_at=self.placed_at
        )
        return list(held.order_by("name", "pk").values_list("name", flat=True))

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.reason}"


class ServerVariable(Entity, Timestamped):
    """A server's own value of an egg variable, from its customer or staff, before the blueprint's and the egg's."""

    tenancy = PART_OF_SERVER

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="variables", db_index=False)
    env_variable = models.CharField(_("environment variable"), max_length=191)
    value = models.TextField(blank=True, default="")
    is_set_by_staff = models.BooleanField(
        _("set by staff"), default=False, help_text=_("Staff may also set what customers cannot change.")
    )

    class Meta:
        verbose_name = _("server variable")
        verbose_name_plural = _("server variables")
        constraints = [models.UniqueConstraint(fields=["server", "env_variable"], name="servers_variable_once")]

    def __str__(self) -> str:
        return self.env_variable
