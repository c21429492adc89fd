"""URLs of servers."""

from django.urls import path

from servers import views
from servers.self_service import (
    activity,
    backups,
    console,
    databases,
    files,
    members,
    network,
    rebuild,
    results,
    schedules,
    settings,
    startup,
    uploads,
    usage,
)

app_name = "servers"
urlpatterns = [
    path("servers/", views.servers, name="list"),
    path("servers/<uuid:pk>/", views.detail, name="detail"),
    path("servers/<uuid:pk>/rename/", settings.rename, name="rename"),
    path("servers/<uuid:pk>/power/", views.power, name="power"),
    path("servers/<uuid:pk>/usage/", usage.page, name="usage"),
    path("servers/<uuid:pk>/backups/", backups.page, name="backups"),
    path("servers/<uuid:pk>/backups/<slug:ref>/<slug:act>/", backups.act, name="backup_act"),
    path("servers/<uuid:pk>/databases/", databases.page, name="databases"),
    path("servers/<uuid:pk>/databases/<slug:ref>/<slug:act>/", databases.act, name="database_act"),
    path("servers/<uuid:pk>/passwords/<uuid:operation>/", databases.password, name="database_password"),
    path("servers/<uuid:pk>/startup/", startup.page, name="startup"),
    path("servers/<uuid:pk>/schedules/", schedules.page, name="schedules"),
    path("servers/<uuid:pk>/schedules/<slug:ref>/<slug:act>/", schedules.act, name="schedule_act"),
    path("servers/<uuid:pk>/network/", network.page, name="network"),
    path("servers/<uuid:pk>/network/name/", network.reverse_name, name="reverse_name"),
    path("servers/<uuid:pk>/settings/", settings.page, name="settings"),
    path("servers/<uuid:pk>/reinstall/", settings.reinstall, name="reinstall"),
    path("servers/<uuid:pk>/rebuild/", rebuild.page, name="rebuild"),
    path("servers/<uuid:pk>/root-password/", rebuild.show_password, name="root_password"),
    path("servers/<uuid:pk>/root-password/new/", rebuild.new_password, name="new_root_password"),
    path("servers/<uuid:pk>/activity/", activity.page, name="activity"),
    path("servers/<uuid:pk>/access/", members.page, name="access"),
    path("servers/<uuid:pk>/downloads/<uuid:operation>/", results.download, name="download"),
    path("servers/<uuid:pk>/results/<uuid:operation>/", results.result, name="result"),
    path("servers/<uuid:pk>/files/", files.page, name="files"),
    path("servers/<uuid:pk>/files/edit/", files.edit, name="file"),
    path("servers/<uuid:pk>/files/move/", files.move, name="file_move"),
    path("servers/<uuid:pk>/files/delete/", files.delete, name="file_delete"),
    path("servers/<uuid:pk>/files/upload/", uploads.page, name="file_upload"),
    path("servers/<uuid:pk>/files/upload/link/", uploads.link, name="file_upload_link"),
    path("servers/<uuid:pk>/console/", console.page, name="console"),
    path("servers/<uuid:pk>/console/open/", console.open_console, name="console_open"),
]
