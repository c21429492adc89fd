"""The settings of servers that staff can change."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

site_settings.register(
    Definition(
        "servers.keep_final_backup",
        SettingType.BOOLEAN,
        False,  # noqa: FBT003
        _("Servers"),
        _("Before a server is deleted, a copy of its disk is kept where the provider can. It costs there."),
    )
)
for _name, _default, _description in (
    ("busy_cpu_percent", 85, _("From this many percent of its cores in use, a node gets new servers last.")),
    ("busy_memory_percent", 90, _("From this many percent of its memory in use, a node gets new servers last.")),
):
    site_settings.register(
        Definition(f"servers.{_name}", SettingType.INTEGER, _default, _("Servers"), _description, min=1, max=1000)
    )
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
site_settings.register(
    Definition(
        "servers.hytale_starts_per_hour",
        SettingType.INTEGER,
        6,
        _("Servers"),
        _("Game sessions that one Hytale server may open in an hour. Each start opens one, and takes up to an hour."),
        min=1,
        max=100,
    )
)
site_settings.register(
    Definition(
        "servers.hytale_sign_in_days",
        SettingType.INTEGER,
        30,
        _("Servers"),
        _("Days for which Hytale keeps an account signed in. Renewed halfway; staff are told before it ends."),
        min=2,
        max=365,
    )
)
