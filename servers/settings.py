"""The settings of servers that staff can change."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

site_settings.register(
    Definition(
        "servers.keep_sync_days",
        SettingType.INTEGER,
        90,
        _("Servers"),
        _("Days after which ended syncs, closed drift findings and vanished servers seen by syncs are deleted."),
        min=1,
        max=3650,
    )
)
