"""URLs of servers."""

from django.urls import path

from servers import views
from servers.self_service import activity, backups, databases, members, schedules, settings, startup

app_name = "servers"
urlpatterns = [
    path("servers/", views.servers, name="list"),
    path("servers/<uuid:pk>/", views.detail, name="detail"),
    path("servers/<uuid:pk>/rename/", settings.rename, name="rename"),
    path("servers/<uuid:pk>/power/", views.power, name="power"),
    path("servers/<uuid:pk>/backups/", backups.page, name="backups"),
    path("servers/<uuid:pk>/backups/<slug:ref>/<slug:act>/", backups.act, name="backup_act"),
    path("servers/<uuid:pk>/downloads/<uuid:operation>/", backups.download, name="download"),
    path("servers/<uuid:pk>/databases/", databases.page, name="databases"),
    path("servers/<uuid:pk>/databases/<slug:ref>/<slug:act>/", databases.act, name="database_act"),
    path("servers/<uuid:pk>/passwords/<uuid:operation>/", databases.password, name="database_password"),
    path("servers/<uuid:pk>/startup/", startup.page, name="startup"),
    path("servers/<uuid:pk>/schedules/", schedules.page, name="schedules"),
    path("servers/<uuid:pk>/schedules/<slug:ref>/<slug:act>/", schedules.act, name="schedule_act"),
    path("servers/<uuid:pk>/settings/", settings.page, name="settings"),
    path("servers/<uuid:pk>/reinstall/", settings.reinstall, name="reinstall"),
    path("servers/<uuid:pk>/activity/", activity.page, name="activity"),
    path("servers/<uuid:pk>/access/", members.page, name="access"),
]
