"""URLs of servers."""

from django.urls import path

from servers import views

app_name = "servers"
urlpatterns = [
    path("servers/", views.servers, name="list"),
    path("servers/<uuid:pk>/", views.detail, name="detail"),
    path("servers/<uuid:pk>/rename/", views.rename, name="rename"),
    path("servers/<uuid:pk>/power/", views.power, name="power"),
]
