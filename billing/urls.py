"""Addresses of billing."""

from django.urls import path

from billing import pages

app_name = "billing"
urlpatterns = [
    path("invoices/", pages.invoices, name="invoices"),
    path("invoices/<uuid:pk>/", pages.invoice, name="invoice"),
]
