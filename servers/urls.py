"""URLs of servers."""

from django.urls import path

from servers import views
from servers.self_service import backups, databases

app_name = "servers"
urlpatterns = [
    path("servers/", views.servers, name="list"),
    path("servers/<uuid:pk>/", views.detail, name="detail"),
    path("servers/<uuid:pk>/rename/", views.rename, name="rename"),
    path("servers/<uuid:pk>/power/", views.power, name="power"),
    path("servers/<uuid:pk>/backups/", backups.page, name="backups"),
    path("servers/<uuid:pk>/backups/<slug:ref>/<slug:act>/", backups.act, name="backup_act"),
    path("servers/<uuid:pk>/downloads/<uuid:operation>/", backups.download, name="download"),
    path("servers/<uuid:pk>/databases/", databases.page, name="databases"),
    path("servers/<uuid:pk>/databases/<slug:ref>/<slug:act>/", databases.act, name="database_act"),
    path("servers/<uuid:pk>/passwords/<uuid:operation>/", databases.password, name="database_password"),
]
