"""The audit trail: what was done, by whom, to what; the hash chain that shows tampering, and its checkpoints."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from core.models.base import choices_check
from core.models.status import StatusChoices, StatusField, Tone
from core.tenancy.declarations import PRIVATE


class Outcome(StatusChoices):
    OK = "ok", Tone.SUCCESS, _("Done")
    REFUSED = "refused", Tone.WARNING, _("Refused")
    FAILED = "failed", Tone.DANGER, _("Failed")


class AuditEntry(models.Model):
    """An action, written by `core.audit.record` and never changed, except that its details can be erased.

    What may say something about a person is in the details: values, text, address and browser. The chain holds only
    their digest, salted with `salt`, which is erased with them. The database sets `salt`, `digest` and `hash`.
    """

    tenancy = PRIVATE
    append_only = True
    erasable_fields = ("old", "new", "ip", "user_agent", "message", "salt")

    id = models.BigAutoField(primary_key=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    actor_label = models.CharField(_("actor's name"), max_length=100, blank=True, default="")
    organization_id = models.UUIDField(_("organization ID"), null=True, blank=True, db_index=True)
    action = models.CharField(max_length=100)
    entity_type = models.CharField(_("object type"), max_length=100)
    entity_id = models.CharField(_("object ID"), max_length=100)
    outcome = StatusField(max_length=8, choices=Outcome, default=Outcome.OK)
    changed = models.JSONField(_("changed"), default=list, blank=True, help_text=_("The names of what changed."))
    metadata = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    old = models.JSONField(_("before"), null=True, blank=True, encoder=DjangoJSONEncoder)
    new = models.JSONField(_("after"), null=True, blank=True, encoder=DjangoJSONEncoder)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(_("browser"), max_length=400, blank=True, default="")
    message = models.CharField(max_length=400, blank=True, default="")
    salt = models.UUIDField(null=True, editable=False)
    digest = models.CharField(max_length=64, editable=False, db_default="")
    at = models.DateTimeField(db_default=Now(), db_index=True)
    hash = models.CharField(max_length=64, editable=False, db_default="")

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["entity_type", "entity_id", "id"], name="core_auditentry_entity")]
        constraints = [choices_check("core_auditentry_outcome_known", "outcome", Outcome)]

    def __str__(self) -> str:
        return f"{self.action} {self.entity_type} {self.entity_id}"


class AuditLink(models.Model):
    """A link of the chain over the entries, written by the database at commit; positions have no gaps."""

    tenancy = PRIVATE
    append_only = True

    position = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, models.PROTECT, related_name="link")
    entry_hash = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


class AuditCheckpoint(models.Model):
    """A head of the chain, signed with a key that only the application knows (`core.audit_checkpoints`)."""

    tenancy = PRIVATE
    append_only = True

    position = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=64)
    signature = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"
