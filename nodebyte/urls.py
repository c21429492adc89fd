"""Root URL configuration."""

from django.contrib import admin
from django.urls import include, path

from nodebyte import health, pages, search_engines

urlpatterns = [
    path("", pages.home, name="home"),
    path("robots.txt", search_engines.robots, name="robots"),
    path("sitemap.xml", search_engines.sitemap, name="sitemap"),
    path("favicon.ico", search_engines.favicon, name="favicon"),
    path("dashboard/", pages.dashboard, name="dashboard"),
    path("", include("core.urls")),
    path("", include("accounts.urls")),
    path("", include("orders.storefront.urls")),
    path("", include("orders.urls")),
    path("", include("orders.renewal.urls")),
    path("", include("orders.affiliates.urls")),
    path("", include("servers.urls")),
    path("", include("billing.urls")),
    path("", include("billing.wallet_urls")),
    path("accounts/", include("allauth.urls")),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("health/db", health.db, name="health_db"),
    path("admin/", admin.site.urls),
]

handler500 = "nodebyte.pages.server_error"
