"""Root URL configuration."""

from django.contrib import admin
from django.urls import include, path

from nodebyte import health, pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("dashboard/", pages.dashboard, name="dashboard"),
    path("", include("core.urls")),
    path("", include("accounts.urls")),
    path("", include("orders.storefront.urls")),
    path("", include("orders.urls")),
    path("", include("servers.urls")),
    path("", include("billing.urls")),
    path("accounts/", include("allauth.urls")),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("health/db", health.db, name="health_db"),
    path("admin/", admin.site.urls),
]
