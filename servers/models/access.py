"""Access to single servers, and who sees the rows that belong to a server."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import AccessLevel, Organization
from core.models import Entity, Timestamped, choices_check
from core.tenancy.declarations import OWN_ORGANIZATIONS, custom

# What is accessible to the bound user is computed once per statement (servers/migrations/0004_server_access.py).
ACCESSIBLE = "ANY (ARRAY(SELECT unnest(app_servers())))"
SERVER = custom(f"organization_id = {OWN_ORGANIZATIONS} OR id = {ACCESSIBLE}")
PART_OF_SERVER = custom(f"organization_id = {OWN_ORGANIZATIONS} OR server_id = {ACCESSIBLE}")


class ServerAccess(Entity, Timestamped):
    """What a plain member of the organization may do with one of its servers; it ends with the membership."""

    tenancy = custom(f"organization_id = {OWN_ORGANIZATIONS} OR user_id = (SELECT app_user())")

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    server = models.ForeignKey("servers.Server", on_delete=models.PROTECT, related_name="accesses")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="server_accesses", db_index=False
    )
    level = models.CharField(_("level"), max_length=8, choices=AccessLevel)

    class Meta:
        verbose_name = _("server access")
        verbose_name_plural = _("server accesses")
        constraints = [
            choices_check("servers_access_level_known", "level", AccessLevel),
            models.UniqueConstraint(fields=["user", "server"], name="servers_access_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_level_display()}"
