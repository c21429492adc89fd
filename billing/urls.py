"""URLs of billing: invoices and webhooks."""

from django.urls import path

from billing import payment_views, views, webhooks

app_name = "billing"
urlpatterns = [
    path("invoices/", views.invoices, name="invoices"),
    path("invoices/<uuid:pk>/", views.invoice, name="invoice"),
    path("invoices/<uuid:pk>/confirm/", payment_views.confirm_charge, name="confirm_charge"),
    path("webhooks/<slug:gateway>/", webhooks.receive, name="webhook"),
]
