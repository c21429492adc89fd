"""The audit trail: what was done, by whom, to what; and the hash chain that shows tampering."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from core.tenancy.declarations import PRIVATE


class AuditEntry(models.Model):
    """An action, written by `core.audit.record` and never changed; the database sets `hash` over all other columns."""

    tenancy = PRIVATE
    append_only = True

    id = models.BigAutoField(primary_key=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    actor_label = models.CharField(_("actor's name"), max_length=100, blank=True, default="")
    organization_id = models.UUIDField(_("organization ID"), null=True, blank=True, db_index=True)
    action = models.CharField(max_length=100)
    entity_type = models.CharField(_("object type"), max_length=100)
    entity_id = models.CharField(_("object ID"), max_length=100)
    old = models.JSONField(_("before"), null=True, blank=True, encoder=DjangoJSONEncoder)
    new = models.JSONField(_("after"), null=True, blank=True, encoder=DjangoJSONEncoder)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(_("browser"), max_length=400, blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    at = models.DateTimeField(db_default=Now(), db_index=True)
    hash = models.CharField(max_length=64, editable=False, db_default="")

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["entity_type", "entity_id", "id"], name="core_auditentry_entity")]

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

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"
