"""billing's Django configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    is_nodebyte = True
