"""Servers: the desired state, beside what was last observed."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import Kind, Plan
from core import tenancy
from core.models import Entity, StateMachine, Timestamped, choices_check, iff
from servers.models.blueprints import Blueprint
from servers.models.nodes import Node
from servers.models.reservations import Reservation


class DesiredState(models.TextChoices):
    PRESENT = "present", _("Present")
    ABSENT = "absent", _("Absent")


class ServerStatus(models.TextChoices):
    PENDING = "pending", _("Waiting")
    INSTALLING = "installing", _("Installing")
    RUNNING = "running", _("Running")
    STOPPED = "stopped", _("Stopped")
    SUSPENDED = "suspended", _("Suspended")
    FAILED = "failed", _("Failed")
    DELETING = "deleting", _("Deleting")
    DELETED = "deleted", _("Deleted")


_S = ServerStatus


class Server(StateMachine, Entity, Timestamped):
    """A server that a customer pays for. Sizes in MiB, cpu in percent of a core.

    Our row is the truth, and the panel is made to follow. The id is the key that every panel is given. `status` is what
    the customer sees, `observed` what the panel answered last.
    """

    tenancy = tenancy.OWNED
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

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="servers")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="servers",
        help_text=_("The user who owns it on the panel."),
    )
    name = models.CharField(_("name"), max_length=64)
    hostname = models.CharField(max_length=191, blank=True, default="")
    kind = models.CharField(max_length=10, choices=Kind)
    blueprint = models.ForeignKey(Blueprint, on_delete=models.PROTECT, related_name="servers")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="servers")
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="servers")
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="server"
    )
    desired_state = models.CharField(max_length=8, choices=DesiredState, default=DesiredState.PRESENT)
    status = models.CharField(max_length=12, choices=ServerStatus, default=ServerStatus.PENDING)
    failure = models.CharField(max_length=255, blank=True, default="")
    ref = models.CharField(max_length=64, blank=True, default="", help_text=_("The panel's own id."))
    identifier = models.CharField(max_length=64, blank=True, default="", help_text=_("The panel's short id."))
    ip = models.CharField(max_length=45, blank=True, default="")
    port = models.PositiveIntegerField(null=True, blank=True)
    address = models.CharField(max_length=200, blank=True, default="")
    cpu_percent = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    disk_mib = models.PositiveIntegerField()
    databases_limit = models.PositiveIntegerField(default=0)
    backups_limit = models.PositiveIntegerField(default=0)
    ports_limit = models.PositiveIntegerField(default=1)
    observed: Any = models.JSONField(default=dict, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)
    create_asked_at = models.DateTimeField(null=True, blank=True)
    create_missed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was first not found after a creation whose answer was lost.")
    )
    install_deadline_at = models.DateTimeField(null=True, blank=True)
    is_install_doubtful = models.BooleanField(
        default=False, help_text=_("A suspension hid how the install ended; it has to be installed again.")
    )
    installed_at = models.DateTimeField(null=True, blank=True)
    reinstall_asked_at = models.DateTimeField(null=True, blank=True)
    start_asked_at = models.DateTimeField(null=True, blank=True)
    running_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the panel first reported it as running.")
    )
    deleted_at = models.DateTimeField(null=True, blank=True)
    metadata: Any = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")
        ordering = ["name"]
        indexes = [models.Index(fields=["organization", "name"], name="servers_server_of_org")]
        constraints = [
            choices_check("servers_server_status_known", "status", ServerStatus),
            choices_check("servers_server_desired_state_known", "desired_state", DesiredState),
            iff(
                "servers_server_deleted_at_iff_deleted",
                models.Q(status=ServerStatus.DELETED),
                models.Q(deleted_at__isnull=False),
            ),
        ]

    def transition_to(self, status: Any) -> None:
        """See `StateMachine`; the same status is always allowed, since convergence runs again and again."""
        if status != self.status:
            super().transition_to(status)

    def has_holds(self) -> bool:
        """Whether a reason to keep the server suspended is in force."""
        return self.holds.filter(lifted_at=None).exists()

    def __str__(self) -> str:
        return self.name


class HoldKind(models.TextChoices):
    BILLING = "billing", _("Billing")
    ABUSE = "abuse", _("Abuse")
    MANUAL = "manual", _("Manual")


class ServerHold(Entity, Timestamped):
    """A reason to keep a server suspended, in force until it is lifted. A payment lifts only billing holds."""

    tenancy = tenancy.OWNED

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

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


class ServerVariable(Entity, Timestamped):
    """The customer's value of an egg variable; others take the blueprint's or the egg's value."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="variables")
    env_variable = models.CharField(max_length=191)
    value = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = _("server variable")
        verbose_name_plural = _("server variables")
        constraints = [models.UniqueConstraint(fields=["server", "env_variable"], name="servers_variable_once")]

    def __str__(self) -> str:
        return self.env_variable
