"""URLs of billing: invoices and webhooks."""

from django.urls import path

from billing import views, webhooks

app_name = "billing"
urlpatterns = [
    path("invoices/", views.invoices, name="invoices"),
    path("invoices/<uuid:pk>/", views.invoice, name="invoice"),
    path("webhooks/<slug:gateway>/", webhooks.receive, name="webhook"),
]
